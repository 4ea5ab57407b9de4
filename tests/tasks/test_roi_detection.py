"""Detectors whose head classifies boxes: which boxes, in how many stages, and by what they are compared."""

import pytest
import torch

from shake_mm.registry import MODELS
from shake_mm.tasks import RoIDetectionTask, task_of

from ..support.detectors import CLASSES, detector, lively, scenes

STAGES = {'faster_rcnn': 1, 'cascade_rcnn': 2}


def boxes_seen(network):
    """Record the boxes that the RoI head of a network is given."""
    seen, forward = [], network.roi_head._bbox_forward

    def watching(*args):
        seen.append(args[-1].clone())
        return forward(*args)

    network.roi_head._bbox_forward = watching
    return seen


@pytest.mark.parametrize('kind', STAGES)
def test_a_teacher_classifies_the_boxes_that_the_student_sampled(kind):
    teacher = lively(detector(kind, width=8))
    model = MODELS.build(dict(type='shake_mm.KD', student=detector(kind), teachers=dict(config=teacher))).train()
    ours, theirs = boxes_seen(model.student), boxes_seen(teacher)
    model(**model.data_preprocessor(scenes(), True), mode='loss')
    assert len(ours) == len(theirs) == STAGES[kind]
    assert all(map(torch.equal, ours, theirs)) and all(len(boxes) for boxes in ours)


@pytest.mark.parametrize('kind', STAGES)
def test_taps_and_branch_have_an_entry_for_every_stage(kind):
    network = lively(detector(kind))
    task = task_of(network)
    assert type(task) is RoIDetectionTask and len(task.heads(network)) == STAGES[kind]
    aliases = task.aliases(network)
    branch = task.build_branch(network, None)
    features = torch.randn(3, 8, 3, 3)
    if kind == 'cascade_rcnn':
        assert [len(aliases[name]) for name in ('logits', 'feats', 'rois')] == [2, 2, 2]
        assert [logits.shape for logits in branch([features, features])] == [(3, CLASSES + 1)] * 2
    else:
        assert aliases['logits'] == 'roi_head.bbox_head[0]'
        assert branch(features).shape == (3, CLASSES + 1)


def test_a_cascade_weighs_its_stages_as_its_own_losses_are():
    network = lively(detector('cascade_rcnn'))
    config = task_of(network).logits_loss(network, dict(tau=2.0))
    assert config['type'] == 'StagewiseLoss' and config['weights'] == [1.0, 0.5]
    assert config['loss'] == dict(type='KLDivLoss', tau=2.0)


def test_outputs_name_what_an_export_is_compared_by():
    network = lively(detector('faster_rcnn')).eval()
    with torch.no_grad():
        outputs = task_of(network).outputs(network, torch.randn(2, 3, 64, 64))
    *proposals, scores, boxes = outputs
    assert len(proposals) == 6 and scores.shape == (2, CLASSES + 1) and boxes.shape == (2, 4 * CLASSES)
