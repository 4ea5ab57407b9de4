"""Configs of detectors: they build and make a step, ten lines are enough for one, and what cannot work says why."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import mmdet
import pytest
import torch
import yaml
from mmdet.engine.hooks import YOLOXModeSwitchHook
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks import task_of

from .cells import CONFIGS, GENERATOR, TABLES
from .detectors import batch, distiller, load, model_of, thin

COCO = '2x_coco'
CELLS = {
    GENERATOR.cell_path(name, pair, COCO): name
    for pair, name in itertools.product(TABLES.DETECTION_PAIRS[COCO], TABLES.DETECTION)
}
WRITTEN = {
    'crosskd/crosskd_atss-r101_atss-r50_coco.py': {'cross_cls', 'cross_box', 'cross_center'},
    'crosskd/crosskd_fcos-r101_fcos-r50_coco.py': {'cross_cls', 'cross_box'},
    'crosskd/crosskd_gfl-r101_gfl-r50_coco.py': {'cross_cls', 'cross_box', 'cross_sides'},
    'crosskd/crosskd_retinanet-r101_retinanet-r50_2x_coco.py': {'cross_cls', 'cross_box'},
    'crosskd/crosskd_rtmdet-l_rtmdet-tiny_coco.py': {'cross_cls', 'cross_box'},
    'detrdistill/detrdistill_deformable-detr-r50_deformable-detr-r18_coco.py': {'matched', 'assigned', 'aware'},
    'kd/kd-masks_mask-rcnn-r101_mask-rcnn-r50_coco.py': {'student_from_teacher', 'masks'},
    'kddetr/kddetr_dab-detr-r50_dab-detr-r18_coco.py': {
        *('specialized_cls', 'specialized_box', 'general_cls', 'general_box')
    },
    'ld/ld-cls_gfl-r101_gfl-r50_coco.py': {'ld', 'ld_valuable', 'ld_cls'},
    'ld/ld_gfl-r101_gfl-r50_coco.py': {'ld', 'ld_valuable'},
}
"""Cells of methods of some heads alone, which are written by hand, and what they log."""
ALIKE = ('crosskd/crosskd_atss', 'crosskd/crosskd_rtmdet', 'crosskd/crosskd_retinanet')
"""Cells whose heads other tests step, tiny."""
SHORT = sorted(
    str(path.relative_to(CONFIGS)) for path in CONFIGS.glob('shake/shake_*_coco.py') if COCO not in path.name
)
KINDS = {'ATSS', 'CascadeRCNN', 'FCOS', 'FSAF', 'GFL', 'MaskRCNN', 'PAA', 'RTMDet', 'RetinaNet', 'YOLOX'}
PAIRS = [*SHORT, *(name for name in CELLS if CELLS[name] == 'shake')]
SHAKE = {'student_from_proxy', 'proxy_from_teacher', 'proxy_from_student'}
LOGGED = {
    'baseline': set(),
    'kd': {'student_from_teacher'},
    'review': {'review'},
    'pkd': {'pkd'},
    'shake': SHAKE,
    'shake-review': {*SHAKE, 'review'},
    'shake-pkd': {*SHAKE, 'pkd'},
    'shake-tower': SHAKE,
    'shake-linear': SHAKE,
    'shake-sparse': SHAKE,
    'cwd': {f'cwd_f{i}' for i in range(1, 6)},
    'mgd': {f'mgd_f{i}' for i in range(1, 5)},
    'fgd': {f'fgd_f{i}' for i in range(1, 6)},
}


@pytest.fixture(autouse=True)
def quiet():
    MMLogger.get_instance('mmengine', log_level='WARNING')
    MessageHub.get_current_instance().update_info('iter', 0)  # a batch augmentation asks for it
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.mark.parametrize(
    'name',
    [
        *SHORT,
        *CELLS,
        *(pytest.param(name, marks=[pytest.mark.slow] * name.startswith(ALIKE)) for name in WRITTEN),
    ],
)
def test_makes_a_step(name):
    cfg = load(name)
    model = distiller(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    teachers = {name: network for name, network in model.members.networks.items() if name != 'student'}
    frozen = {name: {k: v.clone() for k, v in network.state_dict().items()} for name, network in teachers.items()}

    logged = model.train_step(batch(masks=model.student.with_mask), wrapper)

    assert all(value.isfinite() for value in logged.values()) and logged['loss'] > 0
    distilled = {key.removeprefix('loss_') for key in logged if key.startswith('loss_')}
    wanted = WRITTEN.get(name) or LOGGED[CELLS.get(name, 'shake')]
    assert distilled == wanted | ({'mgd_f5'} if name.startswith('mgd/mgd_retina') else set())
    assert any(key.startswith('student.') for key in logged)
    moved = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    for part in ('student.backbone', 'student.neck', *('proxies' for _ in model.proxies), *_parts_of_terms(model)):
        assert any(key.startswith(part) for key in moved), part
    for member, network in teachers.items():
        assert all(torch.equal(value, frozen[member][key]) for key, value in network.state_dict().items())


def _parts_of_terms(model):
    return [f'terms.{name}.connector' for name, term in model.terms.items() if term.connector is not None]


@pytest.mark.parametrize('name', PAIRS)
def test_teacher_and_student_belong_together(name):
    """In strides, priors, classes and stages. And the zoo has weights for the teacher."""
    cfg = load(name)
    teachers = cfg.model.teachers
    (teacher,) = [teachers] if isinstance(teachers, dict) else teachers
    student = MODELS.build(thin(cfg.model.student))
    network = MODELS.build(thin(model_of(teacher.config)))
    task = task_of(student)
    task.check_logits(student, {'teacher0': network})
    assert type(task) is type(task_of(network))
    assert task.num_classes(student) == task.num_classes(network) == 80
    assert teacher.config == teacher.checkpoint
    path = teacher.config.removeprefix('mmdet::')
    zoo = Path(mmdet.__file__).parent / '.mim/configs' / Path(path).parent / 'metafile.yml'
    listed = {entry['Config']: entry.get('Weights', '') for entry in yaml.safe_load(zoo.read_text())['Models']}
    assert listed[f'configs/{path}'].endswith('.pth')


@pytest.mark.parametrize('name', SHORT)
def test_ten_lines_are_enough(name):
    lines = (CONFIGS / name).read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 10
    hooks = [hook.type for hook in load(name).custom_hooks]
    assert hooks.count('shake_mm.StageHook') == hooks.count('shake_mm.FiniteGuardHook') == 1


def test_detectors_that_the_configs_are_of():
    assert {load(name).model.student.type for name in SHORT} == KINDS


@pytest.mark.parametrize('name', CELLS)
def test_a_run_is_as_the_paper_trains(name):
    """24 epochs at 8x2 images, flips only, a backbone from ImageNet; the rate can follow the number of images."""
    cfg = load(name)
    assert cfg.train_cfg.max_epochs == 24 and cfg.auto_scale_lr.base_batch_size == 16
    assert cfg.train_dataloader.batch_size == 2
    kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert [kind for kind in kinds if 'Random' in kind] == ['RandomFlip']
    assert cfg.model.student.backbone.init_cfg.checkpoint == 'torchvision://resnet50'
    assert cfg.param_scheduler[-1].milestones == [16, 22]


@pytest.mark.parametrize(
    'name, reason',
    [
        ('detr/detr_r50_8xb2-150e_coco', r"the queries of a DETR are no places.*of='student.neck\[0\]'"),
        ('guided_anchoring/ga-retinanet_r50_fpn_1x_coco', 'a GARetinaHead guesses its anchors anew for every image'),
        ('sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco', 'SparseRoIHead does not classify given boxes alone'),
    ],
    ids=lambda value: value.partition('/')[0] if '/' in value else '',
)
def test_what_cannot_be_distilled_is_refused(name, reason):
    config = model_of(f'mmdet::{name}.py')
    config.backbone = dict(type='ResNet', depth=18, base_channels=8)  # it does not come to run
    network = MODELS.build(config)
    with pytest.raises(UsageError, match=reason):
        MODELS.build(dict(type='shake_mm.SHAKE', student=network, teachers=dict(config=network)))


RETINA, FASTER = 'mmdet::retinanet/retinanet_r50_fpn_2x_coco.py', 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py'
FCOS = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'
CASCADE = 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'


@pytest.mark.parametrize(
    'student, teacher, change, reason',
    [
        (FCOS, FCOS, dict(strides=[4, 8, 16, 32, 64]), r'teacher0 has strides \[\(4, 4\).* and the student \[\(8, 8\)'),
        (FCOS, FCOS, dict(num_classes=20), 'teacher0 has 20 classes and the student has 80'),
        (RETINA, RETINA, {'anchor_generator.ratios': [1.0]}, 'teacher0 has priors per place .3, 3'),
        (RETINA, RETINA, {'anchor_generator.octave_base_scale': 3}, 'teacher0 has anchors'),
        (RETINA, FASTER, {}, 'teacher0: a FasterRCNN does not classify the places of a pyramid'),
        (FASTER, CASCADE, {}, 'teacher0 has 3 stages and the student 1'),
        (FASTER, RETINA, {}, 'teacher0: a RetinaNet does not classify given boxes'),
    ],
)
def test_a_teacher_of_other_places_or_classes_is_refused(student, teacher, change, reason):
    config = Config(dict(model=thin(model_of(teacher))))
    config.merge_from_dict({f'model.bbox_head.{key}': value for key, value in change.items()})
    teacher = MODELS.build(config.model)
    with pytest.raises(UsageError, match=reason):
        MODELS.build(dict(type='shake_mm.SHAKE', student=thin(model_of(student)), teachers=dict(config=teacher)))


def test_a_teacher_of_another_kind_gives_features():
    """As in mmrazor's PKD of a Mask R-CNN and a RetinaNet, whose levels differ in size."""
    cfg = load('pkd/pkd_retinanet-r101_retinanet-r50_2x_coco.py')
    cfg.model.teachers[0].config = 'mmdet::mask_rcnn/mask-rcnn_r101_fpn_2x_coco.py'
    model = distiller(cfg)
    losses = model(**model.data_preprocessor(batch(), training=True), mode='loss')
    assert losses['loss_pkd'].isfinite() and losses['loss_pkd'] > 0


YOLOX = 'shake/shake_yolox-l_yolox-s_coco.py'


def test_the_hook_of_yolox_reaches_the_student():
    cfg = load(YOLOX)
    model = distiller(cfg)
    assert cfg.custom_hooks[0].type == 'YOLOXModeSwitchHook' and not model.student.bbox_head.use_l1
    skipped = []
    loader = SimpleNamespace(dataset=SimpleNamespace(update_skip_type_keys=skipped.append), persistent_workers=False)
    runner = SimpleNamespace(
        epoch=285, max_epochs=300, model=model, train_dataloader=loader, logger=MMLogger.get_current_instance()
    )
    YOLOXModeSwitchHook(num_last_epochs=15).before_train_epoch(runner)
    assert skipped and model.student.bbox_head.use_l1 is True
    assert 'use_l1' not in vars(model)
    losses = model(**model.data_preprocessor(batch(), training=True), mode='loss')
    assert losses['student.loss_l1'] > 0


def test_a_random_size_is_drawn_once_for_both():
    cfg = load(YOLOX)
    (resize,) = cfg.model.student.data_preprocessor.batch_augments
    resize.update(random_size_range=(96, 96), interval=1)
    model = distiller(cfg)
    assert model.members.networks['teacher0'].data_preprocessor.batch_augments is not None
    seen = []
    for network in model.members.networks.values():
        network.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[2:]))
    for size in (64, 96):
        seen.clear()
        model(**model.data_preprocessor(batch(), training=True), mode='loss')
        assert seen == [(size, size), (size, size)]
