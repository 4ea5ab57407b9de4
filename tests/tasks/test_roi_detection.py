"""Detectors whose head classifies boxes: which boxes, in how many stages, and by what they are compared."""

import copy

import pytest
import torch
from mmengine.structures import PixelData

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks import RoIDetectionTask, task_of

from ..configs.detectors import batch, built, model_of, thin
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


@pytest.mark.parametrize(
    ('method', 'kind'),
    [
        ('KD', 'faster_rcnn'),
        ('SHAKE', 'faster_rcnn'),
        ('KD', 'retinanet'),
        ('SHAKE', 'retinanet'),
        ('DML', 'retinanet'),
    ],
)
def test_the_default_of_boxes_is_what_was_measured_and_the_papers_stays_a_setting(method, kind):
    """At the paper's temperature, every box alike, the boxes of small students suffered."""

    def losses(**settings):
        network = detector(kind)
        model = MODELS.build(
            dict(type=f'shake_mm.{method}', student=network, teachers=dict(config=lively(network)), **settings)
        )
        (found,) = {
            (type(loss).__name__, *sorted({'tau': getattr(loss, 'tau', None), **getattr(loss, 'options', {})}.items()))
            for loss in (term.loss for term in model.terms.values())
            if loss is not None
        }
        return found[0], dict(found[1:])

    boxes = kind == 'faster_rcnn'
    name, options = losses()
    assert (name, options['weighting'], options['tau']) == ('DenseKLLoss', 'confidence', 1.0 if boxes else 4.0)
    name, options = losses(tau=2.0)
    assert (name, options['weighting'], options['tau']) == ('DenseKLLoss', 'confidence', 2.0)
    name, options = losses(setting='paper')
    assert (name, options['tau']) == ('KLDivLoss' if boxes else 'DenseKLLoss', 4.0)
    assert losses(setting='paper', tau=1.0)[1]['tau'] == 1.0
    assert losses(divergence=dict(tau=3.0))[1]['tau'] == 3.0
    if boxes:
        assert losses(divergence=dict(type='AlphaDivLoss'))[1]['tau'] == 1.0


def test_an_unknown_setting_is_refused():
    network = detector('faster_rcnn')
    with pytest.raises(UsageError, match="setting='papers' is none: give 'paper'"):
        MODELS.build(dict(type='shake_mm.KD', student=network, teachers=dict(config=lively(network)), setting='papers'))


def test_outputs_name_what_an_export_is_compared_by():
    network = lively(detector('faster_rcnn')).eval()
    with torch.no_grad():
        outputs = task_of(network).outputs(network, torch.randn(2, 3, 64, 64))
    *proposals, scores, boxes = outputs
    assert len(proposals) == 6 and scores.shape == (2, CLASSES + 1) and boxes.shape == (2, 4 * CLASSES)


@pytest.mark.parametrize('name', ['htc/htc_r50_fpn_1x_coco', 'scnet/scnet_r50_fpn_1x_coco'])
def test_what_branches_of_a_teacher_see_joins_the_features_of_its_boxes(name):
    """A teacher without them, of the student's weights, would classify otherwise than the student does."""
    config = thin(model_of(f'mmdet::{name}.py'))
    config.roi_head.pop('feat_relay_head', None)  # wide, and of the masks alone
    teacher = built(config)
    model = MODELS.build(dict(type='shake_mm.KD', student=config, teachers=dict(config=copy.deepcopy(teacher)))).train()
    model.student.load_state_dict(teacher.state_dict())
    data = batch(masks=True)
    for sample in data['data_samples']:
        sample.gt_sem_seg = PixelData(sem_seg=torch.ones(1, 64, 64, dtype=torch.long))
    data = model.data_preprocessor(data, True)
    equal = model(**copy.deepcopy(data), mode='loss')['loss_student_from_teacher']
    assert equal.abs() < 1e-6
    for parameter in model.members.frozen['teacher0'].network.roi_head.semantic_head.parameters():
        parameter.data.mul_(2)
    assert model(**data, mode='loss')['loss_student_from_teacher'] > 1e-5


@pytest.mark.parametrize(
    ('name', 'levels'), [('cascade_rpn/cascade-rpn_faster-rcnn', 0), ('guided_anchoring/ga-faster-rcnn', 20)]
)
def test_an_rpn_is_compared_by_what_it_makes(name, levels):
    """One in stages by its proposals; one that guesses anchors by its maps, all places of them, on a CPU too."""
    network = built(thin(model_of(f'mmdet::{name}_r50-caffe_fpn_1x_coco.py'))).eval()
    with torch.no_grad():
        outputs = task_of(network).outputs(network, torch.randn(2, 3, 64, 64))
    *proposals, scores, boxes = outputs
    assert len(scores) == len(boxes) == 2 and not any(layer.training for layer in network.modules())
    if levels:
        assert len(proposals) == levels and {len(level) for level in proposals} == {2}
    else:
        assert len(proposals) == 2 and all(len(each) > 1 and each.shape[1] == 4 for each in proposals)
