"""The loss of a network behind its trunk, against the network's own; MasKD whole, stage by stage."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmpretrain.structures import DataSample

from shake_mm.compat import configs_dir
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks.branch import as_in_training
from shake_mm.tasks.loss_behind import loss_behind
from tests.support.detectors import HEADS, detector, lively, scenes

from .test_detection_tower import network

SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in HEADS if kind not in ('retinanet', 'fcos')]
KINDS = ['retinanet', 'fcos', *SLOW]


def total(losses):
    return sum(sum(v) if isinstance(v, list) else v for name, v in losses.items() if 'loss' in name)


@pytest.mark.parametrize('kind', [*KINDS, 'faster_rcnn'])
def test_it_is_the_network_s_own(kind):
    """Gradients reach the levels and no weight; norms stay as they are, also after the network's own training mode."""
    model = (lively(detector(kind), 2) if kind == 'faster_rcnn' else network(kind)).eval().requires_grad_(False)
    data = model.data_preprocessor(scenes(), True)
    levels = [level.requires_grad_() for level in model.extract_feat(data['inputs'])]
    behind = loss_behind(model, 'teacher0')
    state = copy.deepcopy(model.state_dict())
    torch.manual_seed(3)  # two-stage detectors draw boxes
    found = behind(levels, copy.deepcopy(data['data_samples']))
    torch.manual_seed(3)
    with as_in_training(getattr(model, 'bbox_head', model)):
        wanted = total(model.loss(data['inputs'], copy.deepcopy(data['data_samples'])))
    assert torch.equal(found, wanted)
    found.backward()
    assert all(level.grad.abs().sum() > 0 for level in levels[:2])
    assert all(p.grad is None for p in model.parameters()) and not any(layer.training for layer in model.modules())
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_a_classifier_s_too(make_classifier):
    """Whatever begins its loss by ``extract_feat``."""
    model = MODELS.build(make_classifier(6)).eval()
    images, samples = torch.randn(4, 3, 32, 32), [DataSample().set_gt_label(i) for i in range(4)]
    features = model.extract_feat(images)
    found = loss_behind(model, 'teacher0')(list(features), samples)
    torch.testing.assert_close(found, total(model.loss(images, samples)))


def test_without_what_its_training_takes_a_detector_is_refused():
    config = detector('retinanet')
    del config['train_cfg']
    with pytest.raises(UsageError, match='teacher0: it was built without its `train_cfg`'):
        loss_behind(lively(config), 'teacher0')
    with pytest.raises(UsageError, match='where the loss of a Linear reads features is not known'):
        loss_behind(torch.nn.Linear(1, 1), 'teacher0')


def distiller(kind, width=8, **changes):
    torch.manual_seed(0)
    method = Config.fromfile(f'{configs_dir()}/_base_/methods/maskd.py').method
    method.terms.maskd.update(changes)
    return MODELS.build(dict(student=network(kind, 1), teachers=[network(kind, 2, width)], **method)).train()


@pytest.mark.parametrize('kind', KINDS)
def test_first_the_tokens_learn_and_then_the_student(kind, width=12):
    model = distiller(kind, width)
    data = model.data_preprocessor(scenes(), True)
    assert model.connectors.tokens.tokens[0].shape == (6, width)
    for index, terms, learner in ((0, {'detects', 'similarity'}, 'connectors.'), (1, {'maskd'}, 'student.')):
        model.enter_stage(index)
        model.enter_epoch(2 * index)
        model.zero_grad()
        losses = model(**copy.deepcopy(data), mode='loss')
        assert {name for name in losses if name.startswith('loss_')} == {f'loss_{term}' for term in terms}
        sum(losses[f'loss_{term}'] for term in terms).backward()
        moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert moved and all(name.startswith((learner, 'terms.maskd') if index else learner) for name in moved)
    assert model.terms.maskd.loss.customized and any('backbone' in name for name in moved)


def test_what_cannot_be_is_refused_when_it_is_built():
    with pytest.raises(UsageError, match='terms.maskd: MasKDLoss: it needs masks of 3 levels'):
        distiller('retinanet', reference=None)
    method = Config.fromfile(f'{configs_dir()}/_base_/methods/maskd.py').method
    method.terms.detects.of = ['student.f*']
    with pytest.raises(UsageError, match='OwnLoss goes on in the layers of student'):
        MODELS.build(dict(student=network('fcos', 1), teachers=[network('fcos', 2)], **method))
    other = lively(detector('fcos', classes=4, channels=8))
    method.terms.detects.of = 'connectors.masked'
    with pytest.raises(UsageError, match='of the labels, which are of 5 classes, and it has 4'):
        MODELS.build(dict(student=network('fcos', 1), teachers=[other], **method))
