"""Every distillation config builds, with random weights for its teachers, and steps through its stages.

The cells of Table 4 have a test of their own, which holds them against a table; so have the forms of SHAKE, OKDDip's
setting, DeiT and detectors.
"""

import pytest
import yaml
from mmengine.config import Config
from mmengine.logging import MMLogger
from modelindex.load_model_index import load as load_model_index

from analysis.describe import describe
from shake_mm.registry import MODELS

from .cells import CONFIGS, GENERATOR, METHODS, PAIRS, TABLES, augmented_on, cell_path, forms_on

FOLDERS = sorted(TABLES.PAPERS)
FILES = sorted(path for folder in FOLDERS for path in (CONFIGS / folder).glob('*.py'))
CELLS = {cell_path(method, pair) for method in METHODS for pair in PAIRS}
GENERATED = {CONFIGS / name for name, _ in GENERATOR.configs()}
DISTILLED = [path for path in FILES if GENERATOR.folder_of(path.stem.split('_')[0]) in FOLDERS]
DETECTORS = {path for path in DISTILLED if path.stem.endswith(('_coco', '-scenes'))}
SEGMENTORS = {path for path in DISTILLED if path.stem.endswith(('_cityscapes', '_ade20k', '_digit-masks'))}
# Of the augmentations one pair's are built: the others differ from them by the pair's file alone.
WRN = [('wrn-40-2', 'wrn-16-2')]
ELSEWHERE = {
    *CELLS,
    *DETECTORS,
    *SEGMENTORS,
    *(CONFIGS / path for data in TABLES.FORM_PAIRS for path in forms_on(data)),
    *(
        {CONFIGS / path for path in augmented_on('cifar100')}
        - {CONFIGS / path for path in augmented_on('cifar100', WRN)}
    ),
    *(path for path in DISTILLED if any(word in path.stem for word in ('okddip', 'deit', 'subset'))),
}
# Of methods that came later, the cells of CIFAR-100 and ImageNet differ from those of digits by the networks alone.
LATER = {
    cell_path(method, '_'.join(pair))
    for pairs, methods in (
        (TABLES.LATER_PAIRS, TABLES.LATER),
        (TABLES.ONLINE_PAIRS, TABLES.ONLINE),
        (TABLES.TWO_TEACHERS_PAIRS, TABLES.TWO_TEACHERS),
    )
    for pair in pairs['cifar100']
    for method in methods
} | {
    cell_path(method, '_'.join(pair), data)
    for *pair, data in TABLES.IMAGENET
    for method in TABLES.IMAGENET[(*pair, data)]
}
# In the fast lane every third of the others is built, which is one of each method at least; in the slow one all are.
OTHERS = [path for path in DISTILLED if path not in ELSEWHERE | LATER]
FIRST = {path.parent: path for path in reversed(OTHERS)}
FAST = {*OTHERS[::3], *FIRST.values()}
BUILT = [
    pytest.param(path, id=path.stem, marks=[] if path in FAST else [pytest.mark.slow])
    for path in DISTILLED
    if path not in ELSEWHERE
]
METHOD_FILES = sorted((CONFIGS / '_base_' / 'methods').glob('*.py'))
PARTS = {
    *('type', 'terms', 'connectors', 'proxies', 'stages', 'divergence', 'gradient_scales'),
    *('tau', 'lam', 'alpha', 'weighting', 'setting'),
}
UNSOFTENED = {'ctkd', 'kd_deit', 'kd_eskd7', 'kd_hard', 'kd_masks'}
"""Methods that learn the temperature or compare hard labels, those that inherit it, and one that is no paper's."""
SIZES = {'in1k': 64, 'digits100': 16}


def test_every_method_folder_is_known():
    found = {path.parent.name for path in CONFIGS.glob('*/*.py')} - {'_base_'}
    assert found == set(FOLDERS)


@pytest.mark.parametrize('path', BUILT)
def test_builds_and_steps(path):
    MMLogger.get_instance('mmengine', log_level='WARNING')
    cfg = Config.fromfile(path)
    if 'num_samples' in cfg.model:  # memories of a million samples do not make another step
        cfg.model.num_samples = min(cfg.model.num_samples, 50000)
    rows = describe(cfg, SIZES.get(path.stem.split('_')[-1], 32))
    terms = {row.term.rstrip('01') for row in rows}
    expected = {
        'SHAKE': {'task', 'student_from_proxy', 'proxy_from_teacher', 'proxy_from_student'},
        'KD': {'task', 'student_from_teacher'},
        'DML': {'task', 'teacher_task', 'student_from_teacher', 'teacher_from_student'},
        'Baseline': {'task'},
        'Distiller': {'task'},
    }[cfg.model.type.removeprefix('shake_mm.')]
    dropped = {'teacher_from_student'} if path.stem.startswith('dml-dagger') else set()
    assert expected - dropped <= terms and not terms & dropped
    assert all('student' in row.moved for row in rows if row.term == 'task')
    assert any('peers' in row.moved for row in rows) == ('DML' in cfg.model.type)


def test_a_config_is_a_few_lines():
    for path in DISTILLED:
        code = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith('#')]
        assert code[0].startswith('_base_') and len(code) <= 16, path
        assert (path in GENERATED) == path.read_text().startswith(GENERATOR.NOTICE), path


@pytest.mark.parametrize('path', METHOD_FILES, ids=lambda path: path.stem)
def test_a_method_is_all_in_its_file(path):
    """Under one name; those that configs of version 0.1 read stand for parts of it."""
    cfg = Config.fromfile(path)
    method = cfg.pop('method')
    assert path.stem == 'deit' or MODELS.get(method.type)
    assert method.keys() <= PARTS
    if method.get('type') in ('shake_mm.KD', 'shake_mm.SHAKE', 'shake_mm.DML') and path.stem not in UNSOFTENED:
        assert method.get('tau') or method.setting == 'paper', (
            'what a paper set is written out: the default is what was measured to help'
        )
    former = {key: cfg.pop(key) for key in ('terms', 'connectors') if key in cfg}
    assert former == {key: method[key] for key in former}
    assert cfg.keys() <= ({'taps'} if 'deit' in path.stem else set())


def test_former_configs_of_a_method_load(tmp_path, make_classifier):
    """As version 0.1 wrote them, with the parts by their names."""
    (tmp_path / 'student.py').write_text(f'model = {make_classifier(6)}')
    (tmp_path / 'former.py').write_text(
        "_base_ = ['student.py', 'shake_mm::_base_/distill.py', 'shake_mm::_base_/methods/ft.py']\n"
        "model = dict(_delete_=True, type='shake_mm.Distiller', student=_base_.model, teachers=[_base_.model], "
        'terms=_base_.terms, connectors=_base_.connectors)\n'
    )
    model = Config.fromfile(tmp_path / 'former.py').model
    assert list(model.terms) == ['task', 'paraphrase', 'ft'] and model.connectors.factor.source == 'teacher0.fm'
    model.teachers[0] = MODELS.build(model.teachers[0])
    assert [stage.name for stage in MODELS.build(model).stages] == ['main']


def test_the_metafiles_list_every_config():
    listed = []
    for folder in FOLDERS:
        metafile = yaml.safe_load((CONFIGS / folder / 'metafile.yml').read_text())
        assert all((CONFIGS.parent / c['README']).is_file() for c in metafile['Collections'])
        assert {m['In Collection'] for m in metafile['Models']} == {c['Name'] for c in metafile['Collections']}
        listed += [CONFIGS.parent / m['Config'] for m in metafile['Models']]
    assert sorted(listed) == FILES


def test_the_index_says_what_was_measured():
    """Read by the library that mim reads it with; the figures are those of the pages of results."""
    models = {model.name: model for model in load_model_index(str(CONFIGS.parent / 'model-index.yml')).models}
    assert len(models) == len(FILES) and all(model.metadata.data['Training Data'] for model in models.values())
    (shake,) = models['shake_resnet14_resnet8_digits100'].results
    assert (shake.task, shake.metrics) == ('Image Classification', {'Top 1 Accuracy': 95.58})
    (teacher,) = models['retinanet_r18-w32_digit-scenes'].results
    assert (teacher.task, teacher.metrics) == ('Object Detection', {'box AP': 64.1, 'box AP50': 83.2})
    assert sum(model.results is not None for model in models.values()) == 53  # rows of the two pages
