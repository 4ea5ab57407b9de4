"""Tiny networks and data that the tests share."""

import copy
from functools import wraps

import pytest
import torch
from mmengine.registry import DefaultScope

import shake_mm  # noqa: F401  (applies its workarounds before anything else is imported)
from shake_mm.compat.preferences import apply_preferences, home_of_formatter

from .support.stacks import read_counters, skip_for_lack


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call():
    """A config or loss of mmrazor's among many others is skipped where it cannot be had."""
    try:
        return (yield)
    except Exception as error:
        skip_for_lack(error)
        raise


@pytest.fixture(autouse=True, scope='session')
def preferences():
    """Runs of the tests stand for runs by our commands, whichever test comes first."""
    apply_preferences()


@pytest.fixture(autouse=True, scope='session')
def counters():
    """Tests look into the checkpoints of runs by torch's own reader, which a schedule must not defeat."""
    read_counters()


@pytest.fixture(autouse=True, scope='session')
def unformatted_configs(preferences):
    """Nobody reads the configs that a run of the tests writes; to lay them out takes ten times as long as to train."""
    with pytest.MonkeyPatch.context() as patch:
        home = home_of_formatter()
        patch.setattr(home, 'FormatCode', wraps(home.FormatCode)(lambda text, **options: (text, True)))
        yield


@pytest.fixture(autouse=True)
def quiet_and_deterministic():
    """One thread and one seed per test, mmpretrain's scope as its configs would set it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def classifier(channels=6, classes=5, norm=True, **kwargs):
    """An mmpretrain classifier config of two small convolution stages."""
    return dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        backbone=dict(type='shake_mm.CRDResNet', depth=8, widths=(channels, channels, channels, channels)),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=classes, in_channels=channels),
        data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=classes, **kwargs),
    )


@pytest.fixture
def make_classifier():
    return lambda *args, **kwargs: copy.deepcopy(classifier(*args, **kwargs))


@pytest.fixture
def trained(tmp_path):
    """Build a model dict with random weights (also non-trivial BatchNorm statistics), save it, return the file."""
    from shake_mm.registry import MODELS

    def save(config, name='teacher.pth', seed=1):
        torch.manual_seed(seed)
        model = MODELS.build(copy.deepcopy(config))
        model.init_weights()
        for parameter in model.parameters():
            parameter.data.add_(0.3 * torch.randn_like(parameter))
        for key, buffer in model.named_buffers():
            if 'running' in key:
                buffer.copy_(torch.rand_like(buffer) + 0.5)
        path = tmp_path / name
        torch.save({'state_dict': model.state_dict(), 'meta': {}}, path)
        return str(path)

    return save


@pytest.fixture
def batch():
    """A batch (N, 3, 8, 8) and its samples."""
    from mmpretrain.structures import DataSample

    def make(n=4, classes=5, size=8, dtype=torch.float32):
        generator = torch.Generator().manual_seed(3)
        inputs = torch.randn(n, 3, size, size, generator=generator, dtype=dtype)
        labels = torch.randint(classes, (n,), generator=generator)
        return inputs, [DataSample().set_gt_label(int(label)) for label in labels]

    return make


@pytest.fixture
def shake(make_classifier, trained):
    """A SHAKE config for the two-digit images, one teacher."""
    teacher = make_classifier(8, classes=100)
    return dict(
        type='shake_mm.SHAKE',
        student=make_classifier(6, classes=100),
        teachers=dict(config=teacher, checkpoint=trained(teacher)),
    )
