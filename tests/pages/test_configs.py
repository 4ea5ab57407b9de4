"""Every config and program in Python on every page: it is built or run as printed, on tiny networks and data."""

import inspect
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATA_SAMPLERS, HOOKS, LOOPS, VISBACKENDS, DefaultScope
from torch import nn

from shake_mm import switches
from shake_mm.registry import MODELS
from shake_mm.utils import config_file

from ..conftest import classifier
from ..support.detectors import detector
from .pages import PAGES, ROOT, python_of
from .site import Site, run

ELSEWHERE = {
    'docs/walkthrough.md': 'test_walkthrough.py',
    'docs/install.md': 'test_install_page.py',
    'docs/deploy.md': 'deploy/test_page.py',
    'docs/python.md': 'api/test_distill.py',
}
"""Pages whose blocks a test of their own runs, all of them."""
DETECTORS = 'retinanet-r101_retinanet-r50_2x_coco'


def distils(text, site):
    """A whole config of a distillation, which keeps what the student's run has."""
    cfg = site.load(text)
    assert MODELS.build(cfg.model).members.frozen.keys() == {'teacher0'}


def hooks_beside_ones_own(text, site):
    site.write('my_student.py', f"model = {site.student}\ncustom_hooks = [dict(type='EMAHook')]\n")
    wanted = Config.fromfile(config_file('shake_mm::_base_/distill.py')).custom_hooks
    assert site.load(text).custom_hooks == [dict(type='EMAHook'), *wanted]


def hooks(text, site):
    for hook in run(text)['custom_hooks']:
        assert hook is ... or HOOKS.build(hook)


def one_hook(text, site):
    assert HOOKS.build(eval(text))


def trackers(text, site):
    """tests/hooks/test_tracker.py writes by each of them."""
    assert all(VISBACKENDS.get(kind['type']) for kind in run(text)['vis_backends'])


@MODELS.register_module()
class PageOfPoses(BaseModel):
    """Makes heat maps of pictures, and names its last layer as mmpose does."""

    def __init__(self, width):
        super().__init__()
        self.body = nn.Conv2d(3, width, 3, 4, padding=1)
        self.head = nn.ModuleDict(dict(final_layer=nn.Conv2d(width, 17, 1)))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        maps = self.head['final_layer'](self.body(inputs))
        return dict(loss_kpt=maps.square().mean()) if mode == 'loss' else maps


def a_model_of_no_known_task(text, site):
    """A network that names its layers alike takes the place of mmpose's, which is not installed."""
    Site.__init__(site, site.folder, *(dict(type='shake_mm.PageOfPoses', width=width) for width in (4, 8)))
    for zoo, mine in ((r'mmpose::\S+res50\S+py', 'my_student.py'), (r'mmpose::\S+res101\S+py', 'my_teacher.py')):
        text = re.sub(zoo, mine, text)
    model = MODELS.build(site.load(text.replace("'teacher.pth'", "'my_teacher.pth'")).model)
    losses = model.train()(torch.rand(2, 3, 256, 192), [], mode='loss')
    assert losses.keys() >= {'student.loss_kpt', 'loss_student_from_proxy', 'loss_proxy_from_teacher'}


def a_plain_student(text, site):
    network = MODELS.build(run(text)['student'])
    batch = network.data_preprocessor(dict(inputs=[torch.zeros(3, 32, 32)] * 2), True)['inputs']
    assert network(batch, mode='tensor').shape == (2, 10)


def dino(text, site):
    """Of the smallest size that timm has, with random weights in the place of those on its site."""
    timm = pytest.importorskip('timm')
    made = run(text)
    network, terms = made['teachers']['config']['network'], made['terms']
    assert network['model_name'].split('.')[0] in timm.list_models() and made['teachers']['resize'] == 224
    network |= dict(model_name='test_vit', pretrained=False, img_size=32)
    torch.save(MODELS.build(dict(made['teachers']['config'])).network.state_dict(), site.folder / 'vit.pth')
    teachers = made['teachers'] | dict(resize=32, checkpoint='vit.pth')
    resnet = dict(type='mmpretrain.ResNet', depth=18, base_channels=4, out_indices=(0, 1, 2, 3))
    student = site.student | dict(backbone=resnet, head=site.student['head'] | dict(in_channels=32))
    site.distiller(type='shake_mm.Distiller', student=student, teachers=teachers, terms=terms, input_size=64)


def one_of_a_checkpoint(text, site):
    """The weights below a key, of a teacher, and of what a run starts from."""
    made = run(text)
    site.write('teacher.py', f'model = {site.teacher}\n')
    state = MODELS.build(dict(site.teacher)).state_dict()
    torch.save({made['teachers']['key']: state, 'student': {}}, site.folder / made['teachers']['checkpoint'])
    (teacher,) = site.distiller(teachers=made['teachers']).members.frozen.values()
    assert all(torch.equal(state[key], value) for key, value in teacher.network.state_dict().items())
    assert made['load_from_key'] == 'state_dict_ema'  # tests/checks/test_weights.py starts from such a file


def classes_by_name(text, site):
    site.write('teacher.py', f'model = {site.teacher}\n')
    saved = torch.load(site.folder / 'my_teacher.pth', weights_only=True)
    names = dict(classes=('a', 'b', 'c', 'd', 'e'))
    torch.save(saved | dict(meta=dict(dataset_meta=names)), site.folder / 'teacher.pth')
    student = site.student | dict(head=site.student['head'] | dict(num_classes=2))
    model = site.distiller(student=student, **run(text))
    assert model.members.frozen.keys() == {'teacher0'}


def program(text, site):
    run(text)


def keys_of_a_config(text, site):
    site.write('teacher.py', f'model = {site.teacher}\n')
    torch.save(torch.load(site.folder / 'my_teacher.pth', weights_only=True), site.folder / 'teacher.pth')
    made = run(text)['model']
    assert MODELS.build(made | dict(student=classifier(8))).terms.keys() >= {'hint', 'student_from_proxy'}


def zoo_detectors(text, site):
    """With a narrow backbone in the place of ResNet-50 and 101, and random weights."""
    cfg = site.load(text)
    teacher = Config.fromfile(config_file(cfg.teacher)).model
    for model in (cfg.model.student, teacher):
        model.backbone.update(depth=18, base_channels=4, init_cfg=None)
        model.neck.in_channels = [4, 8, 16, 32]
        model._scope_ = 'mmdet'
    torch.save(MODELS.build(dict(teacher)).state_dict(), site.folder / 'teacher.pth')
    cfg.model.teachers = dict(config=teacher, checkpoint='teacher.pth')
    assert type(MODELS.build(cfg.model).student).__name__ == cfg.model.student.type


def changed_detector(text, site):
    Site.__init__(site, site.folder, detector('faster_rcnn'), detector('faster_rcnn', width=8))
    loss = site.distiller(**run(text)['model']).terms['proxy_from_teacher'].loss
    assert (loss.options['tau'], loss.options['weighting']) == (2, 'uniform')


def cell(text, site):
    """A config of this repository, built by its tests, with the same bases."""
    mine = site.load(text.replace("'../_base_/", "'shake_mm::_base_/")).model
    assert any(Config.fromfile(path).model == mine for path in ROOT.glob(f'configs/*/*_{DETECTORS}.py'))


def process_group(text, site):
    settings = run(text)['env_cfg']['dist_cfg']
    inspect.signature(torch.distributed.init_process_group).bind(**settings)


def exact(text, site):
    """What ``--exact`` makes of a config is what the page writes into one."""
    made, cfg = run(text), Config.fromfile(config_file('shake_mm::baseline/resnet8_digits100.py'))
    switches.make_exact(cfg)
    for key in ('dataset', 'batch_sampler'):
        assert cfg.train_dataloader[key].type == made['train_dataloader'][key]['type']
    assert cfg.train_cfg.type == made['train_cfg']['type'] and cfg.train_cfg.keys() >= made['train_cfg'].keys()
    assert cfg.custom_hooks[-1] == made['custom_hooks'][-1]
    assert DATA_SAMPLERS.get('shake_mm.SeededBatchSampler') and LOOPS.get(cfg.train_cfg.type)


def guarded(text, site):
    """With a file in the place of one on a site."""
    trained = []
    runner = SimpleNamespace(train=lambda: trained.append(torch.load('my_teacher.pth', weights_only=False)))
    text = re.sub(r"'mmdet::\S+'", "'my_teacher.pth'", text)
    assert run(text, runner=runner)['weights'].keys() == trained[0].keys()


def trusted(text, site):
    assert run(text)['trust_pickles'] is True  # tests/safe_io/test_doors.py has a run with it


def zoo_segmentors(text, site):
    pytest.importorskip('mmseg')
    cfg = site.load(text)
    teacher = Config.fromfile(config_file(cfg.teacher)).model
    for model in (cfg.model.student, teacher):
        model.backbone.update(depth=18, stem_channels=4, base_channels=4, init_cfg=None)
        model.pretrained = None
        model.decode_head.update(in_channels=32, channels=8, norm_cfg=dict(type='BN'))
        model.auxiliary_head.update(in_channels=16, channels=8, norm_cfg=dict(type='BN'))
        model.backbone.norm_cfg, model._scope_ = dict(type='BN'), 'mmseg'
    torch.save(MODELS.build(dict(teacher)).state_dict(), site.folder / 'teacher.pth')
    cfg.model.teachers = dict(config=teacher, checkpoint='teacher.pth')
    assert MODELS.build(cfg.model).proxies


def shadow_of_a_head(text, site):
    pytest.importorskip('mmseg')
    from ..support.segmentors import segmentor

    with DefaultScope.overwrite_default_scope('mmseg'):
        Site.__init__(site, site.folder, segmentor(), segmentor(width=8))
        model = site.distiller(**run(text, _base_=SimpleNamespace(model=site.student)))
    assert type(model.proxies['proxy0']).__name__ == 'ShadowHead'


def ways_to_run_a_teacher(text, site):
    made = run(text)['teachers'][0]
    site.distiller(teachers=made | dict(config='my_teacher.py', checkpoint='my_teacher.pth'))


def named_stages(text, site):
    pytest.importorskip('mmpretrain')
    arch = dict(depths=[1, 1], channels=[4, 8])
    backbone = dict(type='mmpretrain.ConvNeXt', arch=arch, out_indices=(0, 1), gap_before_final_norm=True)
    head = dict(type='mmpretrain.LinearClsHead', num_classes=5, in_channels=8)
    site.write(
        'my_student.py', f'model = {dict(type="ImageClassifier", _scope_="mmpretrain", backbone=backbone, head=head)}\n'
    )
    hint = dict(of='student.f2', to='teacher0.f1', loss=dict(type='SPLoss'))
    site.distiller(student=run(text)['student'], terms=dict(hint=hint), input_size=32)


def several_teachers(text, site):
    model = site.distiller(type='shake_mm.KD', **run(text))
    assert model.members.frozen.keys() == {'teacher0', 'teacher1'}


def variation(text, site):
    """tests/test_readme.py takes a step with each."""
    for statement in re.split(r'^(?=model = )', text, flags=re.M):
        site.distiller(**run(statement).get('model', {}))


def joined(text, site):
    assert MODELS.build(site.load(text).model).terms.keys() >= {'fitnets', 'student_from_proxy'}


BLOCKS = {
    'README.md': [distils],
    'docs/index.md': [distils],
    'docs/first_steps.md': [distils, hooks_beside_ones_own],
    'docs/any_model.md': [a_model_of_no_known_task, a_plain_student, dino],
    'docs/checkpoints.md': [one_of_a_checkpoint, classes_by_name],
    'docs/compatibility.md': [program],
    'docs/config_keys.md': [keys_of_a_config],
    'docs/detection.md': [zoo_detectors, changed_detector, cell, cell, cell],
    'docs/distributed.md': [process_group],
    'docs/failures.md': [one_hook, one_hook, hooks],
    'docs/logs.md': [hooks, trackers],
    'docs/resume.md': [exact],
    'docs/security.md': [guarded, trusted],
    'docs/segmentation.md': [zoo_segmentors, shadow_of_a_head],
    'docs/speed.md': [ways_to_run_a_teacher],
    'docs/taps.md': [named_stages],
    'docs/variations.md': [variation, variation, several_teachers, variation, joined],
}
"""By page, what is done with its blocks."""
LONG = ('docs/speed.md', 'docs/detection.md')
"""The pages of networks that take seconds to build."""
CASES = [
    pytest.param(page, number, marks=[pytest.mark.slow] if page in LONG else [])
    for page, ways in BLOCKS.items()
    for number in range(len(ways))
]


def test_no_block_is_left_out():
    here = {page: len(python_of(page)) for page in PAGES if python_of(page) and not page.startswith('configs/')}
    assert here.keys() == BLOCKS.keys() | ELSEWHERE.keys()
    assert {page: here[page] for page in BLOCKS} == {page: len(ways) for page, ways in BLOCKS.items()}
    for page, test in ELSEWHERE.items():
        text = (ROOT / 'tests' / test).read_text(encoding='utf-8')
        assert page.rpartition('/')[2] in text and '```python' in text


@pytest.mark.parametrize(('page', 'number'), CASES)
def test_blocks(page, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    BLOCKS[page][number](python_of(page)[number], Site(tmp_path))
