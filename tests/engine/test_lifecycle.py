"""Nothing survives a step: no tensor and no foreign hook, for every proxy, every task and every family of configs."""

import copy
import gc
import warnings

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from shake_mm.members import MemberSpec
from shake_mm.registry import MODELS
from shake_mm.taps.recorder import Recorder

from ..configs.cells import CONFIGS
from ..configs.detectors import batch, distiller, load
from ..support.detectors import detector, lively, scenes

EARLY, LATE = 5, 12  # each batch at least once, and what a step leaves shows by the next

PROXIES = ('shake', 'shake-alone', 'shake-sbn', 'shake-sbn-w50', 'shake-fusion', 'shake-stronger')
METHODS = ('kd', 'ab', 'ft', 'crd', 'review', 'dml', 'kd-dagger-head', 'shake-fitnets')
PAIR = 'resnet14_resnet8_digits100'
FAMILIES = [f'{name.split("-")[0]}/{name}_{PAIR}.py' for name in (*PROXIES, *METHODS)]
FAMILIES += [
    f'shake/shake-aekd_3x{PAIR}.py',
    f'shake/shake-one-head_3x{PAIR}.py',
    'shake/shake_resnet14_deit_digits.py',
]
OTHERS = [
    path.relative_to(CONFIGS).as_posix()
    for folder in CONFIGS.iterdir()
    if not folder.name.startswith(('_', 'baseline'))
    for path in sorted(folder.glob('*digits*.py'))
]
OTHERS = sorted({*OTHERS} - {*FAMILIES})
DETECTORS = ('retinanet', 'fcos', 'rtmdet', 'faster_rcnn', 'cascade_rcnn')
COCO = sorted(
    path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob('*/*_2x_coco.py') if path.parent.name != 'baseline'
)


@pytest.fixture(autouse=True)
def nothing_older():
    """What other tests left is not looked through, which takes most of the time in a process that has run many."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def config_of(name):
    """A config on digits, tiny, its teachers with random weights."""
    cfg = Config.fromfile(CONFIGS / name)
    cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)  # as the Runner does
    teachers = cfg.model.get('teachers', [])
    for teacher in [teachers] if isinstance(teachers, dict) else teachers:
        if teacher.pop('checkpoint', None) is not None and cfg.model.type != 'shake_mm.DML':
            teacher.config = MemberSpec.parse('teacher0', dict(config=teacher.config)).build()
    loader = cfg.train_dataloader
    inner = loader.dataset.get('dataset', loader.dataset)
    inner['num_images' if 'num_images' in inner else 'num_samples'] = 32
    loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    if cfg.model.get('num_samples'):
        cfg.model.num_samples = 32
    return cfg


def family(name):
    """The distiller of a config on digits, and its training batches."""
    cfg = config_of(name)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model, list(Runner.build_dataloader(cfg.train_dataloader, seed=0))


def shadowed(kind, method='SHAKE'):
    model = MODELS.build(
        ConfigDict(
            type=f'shake_mm.{method}', student=detector(kind), teachers=dict(config=lively(detector(kind, width=8)))
        )
    )
    model.init_weights()
    return model, [scenes()]


def orphans(model):
    """Recorders that no taps know of, among what this test has made."""
    own = {id(recorder) for recorder in model.taps._recorders.values()}
    return [obj for obj in gc.get_objects() if type(obj) is Recorder and id(obj) not in own]


def live_tensors():
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return sum(issubclass(type(obj), torch.Tensor) for obj in gc.get_objects())


def check(model, batches):
    """Train for some steps in every stage, evaluate, and copy."""
    model.train()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9))
    for stage in range(len(model.stages)):
        model.enter_stage(stage)
        model.enter_epoch(stage)
        counts = {}
        for step in range(1, LATE + 1):
            losses = model.train_step(copy.deepcopy(batches[step % len(batches)]), wrapper)
            assert all(torch.isfinite(value) for value in losses.values()), losses
            del losses
            if step in (EARLY, LATE):
                counts[step] = live_tensors()
        assert counts[LATE] <= counts[EARLY], counts
    model.eval()
    with torch.no_grad():
        model.val_step(copy.deepcopy(batches[0]))
        evaluated = live_tensors()
        model.val_step(copy.deepcopy(batches[0]))
    assert live_tensors() <= evaluated
    assert not orphans(model)
    assert not any(recorder.values for recorder in model.taps._recorders.values())
    twin = copy.deepcopy(model)
    assert twin.state_dict().keys() == model.state_dict().keys()
    twin.train()
    twin.train_step(copy.deepcopy(batches[0]), OptimWrapper(torch.optim.SGD(twin.parameters(), lr=1e-4)))
    assert not any(recorder.values for recorder in (*model.taps._recorders.values(), *twin.taps._recorders.values()))


@pytest.mark.parametrize('name', FAMILIES)
def test_a_family_holds_nothing(name):
    check(*family(name))


@pytest.mark.slow
@pytest.mark.parametrize('name', OTHERS)
def test_every_other_family_holds_nothing(name):
    check(*family(name))


@pytest.mark.parametrize('kind', DETECTORS)
def test_a_detector_with_a_shadow_holds_nothing(kind):
    check(*shadowed(kind))


def test_a_detector_without_a_shadow_holds_nothing():
    check(*shadowed('retinanet', 'KD'))


@pytest.mark.slow
@pytest.mark.parametrize('name', COCO)
def test_a_detector_of_coco_holds_nothing(name):
    check(distiller(load(name)), [batch()])
