"""Write the configs that only combine: networks alone, pairs, and every method on every pair.

``python tools/misc/make_configs.py`` rewrites them, with the metafiles and model-index.yml; ``--check`` only says
whether they are up to date. What a cell means stands in ``_base_`` (``methods``, ``schedules``, ``datasets``) and in
``METHODS`` below; nothing else writes it down twice.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import yaml

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


class Network(NamedTuple):
    """A network that is trained alone: a teacher, or the student's run in a pair.

    Args:
        model (str): Its file below ``_base_/models``.
        light (bool): Whether the benchmark trains it at a learning rate of 0.01.
        body (tuple[str, ...]): What AB initialises of it: all that its stages' features depend on.
    """

    model: str
    light: bool = False
    body: tuple[str, ...] = ('student.backbone',)

    @property
    def slow_paraphraser(self) -> bool:
        """Whether FT trains the paraphraser at a fifth of the rate: at 0.01 but for VGG students, as the benchmark."""
        return not self.light and 'vgg' not in self.model


SHUFFLE_BODY = tuple(f'student.backbone.{part}' for part in ('conv1', 'bn1', 'layer1', 'layer2', 'layer3'))
CRD_NETWORKS = {
    **{name: Network(f'crd/{name}') for name in ('resnet20', 'resnet32', 'resnet110', 'resnet8x4', 'resnet32x4')},
    **{name: Network(f'crd/{name.replace("-", "_")}') for name in ('wrn-16-2', 'wrn-40-1', 'wrn-40-2')},
    **{name: Network(f'crd/{name}') for name in ('vgg8', 'vgg13')},
    'resnet50': Network('crd/ResNet50'),
    'mobilenetv2': Network('crd/MobileNetV2', True, ('student.backbone.conv1', 'student.backbone.blocks')),
    'shufflev1': Network('crd/ShuffleV1', True),
    'shufflev2': Network('crd/ShuffleV2', True, SHUFFLE_BODY),
}
DIGIT_NETWORKS = {
    'resnet14': Network('digits/resnet14'),
    'resnet8': Network('digits/resnet8_half'),
    'shufflev2': Network('digits/shufflev2_tiny', body=SHUFFLE_BODY),
}
DIGIT_PAIRS = [('resnet14', 'resnet8'), ('resnet14', 'shufflev2')]
TABLE_PAIRS = [
    ('wrn-40-2', 'wrn-16-2'),
    ('wrn-40-2', 'wrn-40-1'),
    ('resnet110', 'resnet20'),
    ('resnet110', 'resnet32'),
    ('resnet32x4', 'resnet8x4'),
    ('vgg13', 'vgg8'),
    ('resnet50', 'mobilenetv2'),
    ('resnet32x4', 'shufflev1'),
    ('resnet32x4', 'shufflev2'),
]


class Data(NamedTuple):
    """A data set with its schedule.

    Args:
        dataset (str): Below ``_base_/datasets``.
        schedule (str): Below ``_base_/schedules``.
        epochs (int): Of the schedule.
        networks (dict[str, Network]): By the name that files have.
        pairs (list): Teacher and student by name.
        cells (bool): Whether every method has a config on every pair.
    """

    dataset: str
    schedule: str
    epochs: int
    networks: dict[str, Network]
    pairs: list[tuple[str, str]]
    cells: bool = True


DATA = {
    'cifar100': Data('cifar100_bs64', 'cifar100_crd', 240, CRD_NETWORKS, TABLE_PAIRS),
    'digits100': Data('digits100_bs64', 'digits100', 20, DIGIT_NETWORKS, DIGIT_PAIRS),
    # The benchmark's own networks on digits: any cell of CIFAR-100 runs on them once its pair's file is exchanged.
    'digits100-32px': Data('digits100_32px_bs64', 'digits100', 20, CRD_NETWORKS, TABLE_PAIRS, cells=False),
}


class Method(NamedTuple):
    """A row of the tables.

    Args:
        says (str): First line of its configs, a comment.
        type (str): The distiller.
        base (str): File below ``_base_/methods`` whose ``terms`` it has, or none.
        extra (tuple[str, ...]): Further arguments of the model, as they are written.
        variants (dict): The file instead of ``base`` for some pairs, where a method's authors chose weights by pair.
        scratch (bool): Whether the teachers train along from scratch.
        contrast (bool): Whether the data set must name contrasting samples.
        init (str): ``'ab'`` or ``'ft'`` where the method begins with a stage of its own.
        taught (bool): Whether it has teachers.
    """

    says: str
    type: str = 'Distiller'
    base: str = ''
    extra: tuple[str, ...] = ()
    variants: dict[tuple[str, str], str] = {}
    scratch: bool = False
    contrast: bool = False
    init: str = ''
    taught: bool = True


# As the methods' authors chose them; where they give none (ResNet-110 to ResNet-20), as for the most similar pair.
DKD_BETAS = {
    **{pair: 'dkd_b6' for pair in (('wrn-40-2', 'wrn-16-2'), ('wrn-40-2', 'wrn-40-1'), ('vgg13', 'vgg8'))},
    **{pair: 'dkd_b2' for pair in (('resnet110', 'resnet20'), ('resnet110', 'resnet32'))},
    **{pair: 'dkd_warmup2' for pair in DIGIT_PAIRS},
}
REVIEW_WEIGHTS = {
    **{pair: 'review_w1' for pair in (('resnet110', 'resnet20'), ('resnet110', 'resnet32'))},
    **{pair: 'review_w8' for pair in (('resnet50', 'mobilenetv2'), ('resnet32x4', 'shufflev2'))},
    **{pair: 'review_warmup2' for pair in DIGIT_PAIRS},
}

METHODS = {
    'baseline': Method(
        'The student alone, run by the same engine, so that its gap to the teacher is reported too.', 'Baseline'
    ),
    'fitnets': Method('', base='fitnets'),
    'at': Method('', base='at'),
    'sp': Method('', base='sp'),
    'cc': Method('', base='cc'),
    'vid': Method('', base='vid'),
    'rkd': Method('', base='rkd'),
    'pkt': Method('', base='pkt'),
    'ab': Method('', base='ab', init='ab'),
    'ft': Method('', base='ft', extra=('connectors=_base_.connectors',), init='ft'),
    'nst': Method('', base='nst'),
    'crd': Method('', base='crd', contrast=True),
    'crd-kd': Method('CRD beside KD with its full cross-entropy.', 'KD', 'crd', contrast=True),
    'kd-crd': Method(
        "KD with the CRD benchmark's weights, as in Table 4: 0.1 CE + 0.9 KL.", 'KD', extra=('alpha=0.1', 'lam=0.9')
    ),
    'kd': Method('', 'KD'),
    'kd-dagger': Method(
        'KD†, reversed distillation: the trained teacher is trained on, and learns from the student.', 'DML'
    ),
    'dml': Method("The teacher's network trains along from scratch.", 'DML', scratch=True),
    'dml-dagger': Method(
        'DML†: the teacher, which trains along, does not learn from the student.',
        'DML',
        extra=('terms=dict(teacher_from_student=None)',),
        scratch=True,
    ),
    'shake': Method('', 'SHAKE'),
    'shake-fitnets': Method('', 'SHAKE', 'fitnets'),
    'shake-crd': Method('', 'SHAKE', 'crd', contrast=True),
    'dkd': Method('', base='dkd', variants=DKD_BETAS),
    'dist': Method('', base='dist'),
    'review': Method('', base='review', variants=REVIEW_WEIGHTS),
}
"""Name in files: what it is. The rows of Table 4, Eq. 1's KD, and what came later."""

TRUTH = "proxy_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'))"
MIMIC = "proxy_from_teacher=dict(loss=dict(type='{}'))"
STUDENT_ALONE = "terms=['task', 'student_from_teacher'], train=['student']"

AEKD = ("weighting='aekd'",)
ONE_HEAD = ("proxies=[dict(type='ShadowHead')]",)

FORMS = {
    # Table 1
    'kd-dagger-head': Method(
        'KD† (head): of the teacher only the classifier is trained on.',
        'DML',
        extra=("stages=[dict(train=['student', 'peers.teacher0.head'])]",),
    ),
    'kd-dagger-60': Method(
        'KD† (60): the teacher is trained on for a quarter of the epochs, 60 of 240, and frozen from then on.',
        'DML',
        extra=('stages=[dict(until={quarter}), dict(' + STUDENT_ALONE + ')]',),
    ),
    'shake-alone': Method(
        'The proxy is a network of its own, of the architecture of the student.',
        'SHAKE',
        extra=("proxies=dict(type='ShadowNetwork')",),
    ),
    # Table 2: how the proxy learns from the teacher, each with and without the labels
    'shake-ce': Method(
        'The proxy learns from the teacher by cross-entropy.',
        'SHAKE',
        extra=(f'terms=dict({MIMIC.format("SoftCELoss")})',),
    ),
    'shake-l2': Method(
        'The proxy learns from the teacher by the squared error of the logits.',
        'SHAKE',
        extra=(f'terms=dict({MIMIC.format("MSELoss")})',),
    ),
    'shake-gt': Method('The proxy learns from the labels too.', 'SHAKE', extra=(f'terms=dict({TRUTH})',)),
    'shake-ce-gt': Method(
        'The proxy learns from the teacher by cross-entropy, and from the labels.',
        'SHAKE',
        extra=(f'terms=dict({MIMIC.format("SoftCELoss")}, {TRUTH})',),
    ),
    'shake-l2-gt': Method(
        'The proxy learns from the teacher by the squared error of the logits, and from the labels.',
        'SHAKE',
        extra=(f'terms=dict({MIMIC.format("MSELoss")}, {TRUTH})',),
    ),
    # Table 3: what the proxy shares with the student
    'shake-sbn': Method(
        "The proxy runs the student's convolutions with BatchNorm of its own (S-BN).",
        'SHAKE',
        extra=("proxies=dict(type='ShadowSubnet')",),
    ),
    'shake-sbn-w75': Method(
        'S-BN on the first 75 % of the channels.', 'SHAKE', extra=("proxies=dict(type='ShadowSubnet', width=0.75)",)
    ),
    'shake-sbn-w50': Method(
        'S-BN on the first 50 % of the channels.', 'SHAKE', extra=("proxies=dict(type='ShadowSubnet', width=0.5)",)
    ),
    # Table 5 of the main paper: what is exchanged
    'shake-wo-reversed': Method(
        'Without reversed distillation: the proxy does not learn from the student.',
        'SHAKE',
        extra=('terms=dict(proxy_from_student=None)',),
    ),
    'shake-wo-teacher': Method(
        'Without the pre-trained teacher: the proxy learns from the labels in its place.',
        'SHAKE',
        extra=(f'terms=dict(proxy_from_teacher=None, {TRUTH})',),
    ),
    'shake-t2s': Method(
        'The student learns from the teacher directly, too.',
        'SHAKE',
        extra=("terms=dict(student_from_teacher=dict(of='student.logits', to='teacher*.logits', loss=dict(tau=4.0)))",),
    ),
    'shake-stronger': Method(
        'The shadow head has two convolutions of its own before the pooling.',
        'SHAKE',
        extra=("proxies=dict(type='ShadowHead', source='student.backbone', neck=dict(type='ShadowNeck'))",),
    ),
    # The authors' release
    'shake-fusion': Method(
        "The variant that the authors released: the proxy fuses the teacher's features, all logits are normalised.",
        'Distiller',
        'shake_release',
        extra=("proxies=dict(type='TeacherFusion')",),
    ),
}
"""Forms of SHAKE and of what it is compared with, each on the pairs of :data:`FORM_PAIRS`."""

FORM_PAIRS = {
    'cifar100': [('resnet110', 'resnet20'), ('wrn-40-2', 'wrn-16-2'), ('vgg13', 'vgg8')],
    'digits100': DIGIT_PAIRS[:1],
}
"""The pairs of Tables 1, 2, 3 and the main paper's Table 5, by data."""

SEVERAL = {
    'baseline': METHODS['baseline'],
    'kd': Method('The mean of the teachers (AVER).', 'KD'),
    'kd-aekd': Method('The teachers weighed by their gradients, batch by batch (AEKD).', 'KD', extra=AEKD),
    'shake-one-head': Method('One shadow head for all teachers.', 'SHAKE', 'shake_one_head', extra=ONE_HEAD),
    'shake': Method('A shadow head for every teacher (Eq. 6), the mean of them (AVER).', 'SHAKE'),
    'shake-aekd': Method('A shadow head for every teacher, weighed by their gradients (AEKD).', 'SHAKE', extra=AEKD),
}
"""Methods on several teachers of one architecture, which differ by their seeds."""

SEVERAL_PAIRS = {
    'cifar100': [('2xresnet110', 'resnet20'), ('2xwrn-40-2', 'wrn-16-2'), ('2xvgg13', 'vgg8')],
    'digits100': [('3xresnet14', 'resnet8')],
}
"""``3xresnet14`` are three teachers ResNet-14."""

COCO_PAIRS = [('retinanet-r101', 'retinanet-r50'), ('faster-rcnn-r101', 'faster-rcnn-r50')]
# One-stage and two-stage detectors have weights of their own.
PKD_WEIGHTS = {COCO_PAIRS[0]: 'pkd_det_w10'}
MGD_WEIGHTS = {COCO_PAIRS[1]: 'mgd_det_two_stage'}

DETECTION = {
    '2x_coco': (
        COCO_PAIRS,
        {
            'baseline': Method('The student alone, run by the same engine.', 'Baseline', taught=False),
            'kd': Method('', 'KD'),
            'review': Method('', base='review_det'),
            'cwd': Method('', base='cwd_det'),
            'pkd': Method('', base='pkd_det', variants=PKD_WEIGHTS),
            'mgd': Method('', base='mgd_det', variants=MGD_WEIGHTS),
            'shake': Method('', 'SHAKE'),
            'shake-review': Method('', 'SHAKE', 'review_det'),
            'shake-pkd': Method('', 'SHAKE', 'pkd_det', variants=PKD_WEIGHTS),
        },
    ),
}
"""Data and schedule: pairs of detectors, whose files are written by hand, and the methods that each has a config of."""


class Paper(NamedTuple):
    """What a folder's metafile says of its method."""

    name: str
    title: str = ''
    url: str = ''
    code: str = 'shake_mm/losses'


PAPERS = {
    folder: Paper(**about)
    for folder, about in yaml.safe_load(Path(__file__).with_name('papers.yaml').read_text(encoding='utf-8')).items()
}
"""By method folder."""


def folder_of(method: str) -> str:
    """The configs' folder: variants of a method stand beside it; CRD+KD and CRD's KD are of the first named."""
    return method.split('-')[0]


def network_config(name: str, network: Network, data: Data) -> str:
    """A network alone: ``baseline/NAME_DATA.py``."""
    bases = (f'models/{network.model}', f'datasets/{data.dataset}', f'schedules/{data.schedule}', 'default_runtime')
    lines = ['_base_ = [', *(f"    '../_base_/{base}.py'," for base in bases), ']']
    if network.light and data.schedule == 'cifar100_crd':
        lines.append('optim_wrapper = dict(optimizer=dict(lr=0.01))')
    return '\n'.join(lines)


def pair_config(teacher: str, student: str, key: str, data: Data) -> str:
    """A student's run and its teacher: ``_base_/pairs/TEACHER_STUDENT_DATA.py``."""
    says = (
        "# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config."
    )
    number, _, network = teacher.rpartition('x') if teacher[:1].isdigit() else ('', '', teacher)
    places = [f'/seed{seed}' for seed in range(int(number))] if number else ['']
    if number:
        says += f"""
# They differ by their seed: tools/train.py configs/baseline/{network}_{key}.py \\
#     --work-dir work_dirs/{network}_{key}/seed1 --cfg-options randomness.seed=1"""
    entries = ''.join(
        f"""
    dict(
        config='shake_mm::baseline/{network}_{key}.py',
        checkpoint='work_dirs/{network}_{key}{place}/epoch_{data.epochs}.pth',
    ),"""
        for place in places
    )
    return f"""{says}
_base_ = ['../../baseline/{student}_{key}.py', '../distill.py']

teachers = [{entries}
]"""


def cell_path(name: str, pair: tuple[str, str], key: str) -> str:
    """Where a method's config on a pair stands: ``METHOD/METHOD_TEACHER_STUDENT_DATA.py``."""
    return f'{folder_of(name)}/{name}_{pair[0]}_{pair[1]}_{key}.py'


def cell_config(
    method: Method, pair: tuple[str, str], key: str, network: Network | None = None, epochs: int = 0
) -> str:
    """A method on a pair, whose student is ``network``, trained for ``epochs``."""
    bases = [f'../_base_/pairs/{pair[0]}_{pair[1]}_{key}.py']
    arguments = ['_delete_=True', f"type='shake_mm.{method.type}'", 'student=_base_.model']
    if method.taught:
        arguments.append(f'teachers={"peers" if method.scratch else "_base_.teachers"}')
    arguments += [argument.replace('{quarter}', str(epochs // 4)) for argument in method.extra]
    if method.base:
        bases.append(f'../_base_/methods/{method.variants.get(pair, method.base)}.py')
        arguments.append('terms=_base_.terms')
    if method.contrast:
        arguments.append('num_samples=_base_.contrast.num_samples')
    if method.init:
        arguments.append(f'stages=[{", ".join(_stages(method.init, network))}]')
    lines = [f'# {method.says}'] if method.says else []
    lines.append(f'_base_ = {bases if len(bases) > 1 else repr(bases[0])}')
    if method.scratch:
        lines.append("peers = [dict(config=teacher['config']) for teacher in _base_.teachers]")
    lines.append(f'model = dict({", ".join(arguments)})')
    if method.contrast:
        inner = 'dataset=_base_.train_dataloader.dataset, negatives=_base_.contrast.negatives'
        lines.append(f"train_dataloader = dict(dataset=dict(_delete_=True, type='shake_mm.ContrastDataset', {inner}))")
    if method.init:
        scheduler = 'slow_param_scheduler' if method.init == 'ft' and network.slow_paraphraser else 'param_scheduler'
        lines += ['train_cfg = _base_.with_init.train_cfg', f'param_scheduler = _base_.with_init.{scheduler}']
    return '\n'.join(lines)


def _stages(init: str, network: Network) -> list[str]:
    """The two stages of AB and FT: an initialisation, then the student's training with a new optimizer."""
    first, then = {
        'ab': ((['ab'], [*network.body, 'terms']), (['task'], ['student'])),
        'ft': ((['paraphrase'], ['connectors', 'terms.paraphrase']), (['task', 'ft'], ['student', 'terms.ft'])),
    }[init]
    return [
        f'dict(until=_base_.with_init.until, terms={first[0]}, train={first[1]})',
        f'dict(terms={then[0]}, train={then[1]}, reset_optimizer=True)',
    ]


def configs() -> Iterator[tuple[str, str]]:
    """All configs of this script: path below ``configs`` and text."""
    for key, data in DATA.items():
        for name, network in data.networks.items():
            yield f'baseline/{name}_{key}.py', network_config(name, network, data)
        for pair in data.pairs:
            yield f'_base_/pairs/{pair[0]}_{pair[1]}_{key}.py', pair_config(*pair, key, data)
            for name, method in METHODS.items() if data.cells else ():
                yield cell_path(name, pair, key), cell_config(method, pair, key, data.networks[pair[1]])
        for pair in SEVERAL_PAIRS.get(key, ()):
            yield f'_base_/pairs/{pair[0]}_{pair[1]}_{key}.py', pair_config(*pair, key, data)
        for pair, (name, method) in product(SEVERAL_PAIRS.get(key, ()), SEVERAL.items()):
            yield cell_path(name, pair, key), cell_config(method, pair, key)
        for pair, (name, method) in product(FORM_PAIRS.get(key, ()), FORMS.items()):
            yield cell_path(name, pair, key), cell_config(method, pair, key, data.networks[pair[1]], data.epochs)
    for key, (pairs, methods) in DETECTION.items():
        for pair, (name, method) in product(pairs, methods.items()):
            yield cell_path(name, pair, key), cell_config(method, pair, key)


def formatted(files: dict[str, str], folder: Path) -> dict[str, str]:
    """The texts as the project's formatter writes them."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings = CONFIGS.parent / 'pyproject.toml'
    command = [sys.executable, '-m', 'ruff', 'format', '--quiet', '--config', str(settings), str(folder)]
    subprocess.run(command, check=True)
    return {name: (folder / name).read_text() for name in files}


def metafiles(files: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each method folder's metafile.yml, which lists all its configs, generated or not, and the index of them."""
    for folder, about in PAPERS.items():
        names = {Path(name).stem for name in files if name.startswith(f'{folder}/')}
        names |= {path.stem for path in (CONFIGS / folder).glob('*.py')}
        techniques = ['Knowledge Distillation'] if about.title else []
        collection = {
            'Name': about.name,
            'Metadata': {'Training Techniques': [*techniques, 'SGD with Momentum', 'Weight Decay']},
            **({'Paper': {'Title': about.title, 'URL': about.url}} if about.title else {}),
            'README': f'configs/{folder}/README.md',
            'Code': {'URL': about.code, 'Version': 'v0.1.0'},
        }
        models = [
            {'Name': name, 'Config': f'configs/{folder}/{name}.py', 'In Collection': about.name}
            for name in sorted(names)
        ]
        yield f'{folder}/metafile.yml', yaml.safe_dump({'Collections': [collection], 'Models': models}, sort_keys=False)
    index = {'Import': [f'configs/{folder}/metafile.yml' for folder in sorted(PAPERS)]}
    yield '../model-index.yml', yaml.safe_dump(index)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    parser = argparse.ArgumentParser(description='Write the configs that only combine')
    parser.add_argument('--check', action='store_true', help='write nothing, and fail where a file is not up to date')
    args = parser.parse_args(argv)
    files = dict(configs())
    with tempfile.TemporaryDirectory() as folder:
        files = formatted(files, Path(folder))
    files.update(metafiles(files))
    stale = [name for name, text in files.items() if not _is(CONFIGS / name, text)]
    for name in () if args.check else stale:
        (CONFIGS / name).parent.mkdir(parents=True, exist_ok=True)
        (CONFIGS / name).write_text(files[name])
    print(f'{len(files)} files, {len(stale)} {"not up to date" if args.check else "written"}', *stale, sep='\n  ')
    return int(bool(args.check and stale))


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == '__main__':
    sys.exit(main())
