"""Logits of detection heads that score by more than their class outputs, against their definition."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict

from shake_mm.registry import MODELS
from shake_mm.tasks.branch import ClassificationBranch
from shake_mm.tasks.detection_logits import logits_of, product, seesaw
from tests.support.detectors import CLASSES, detector, lively, scenes


def test_the_product_has_the_product_of_the_probabilities():
    x, y = torch.randn(2, 500, dtype=torch.float64) * 4
    torch.testing.assert_close(product(x, y).sigmoid(), x.sigmoid() * y.sigmoid(), rtol=1e-10, atol=0)
    large = torch.tensor([-1e4, 1e4, 0.0, 1e4], requires_grad=True)
    value = product(large, torch.tensor([1e4, 1e4, 30.0, -1e4]))
    value.sum().backward()
    assert value.isfinite().all() and large.grad.isfinite().all()


def test_seesaw_s_logits_are_what_its_activation_makes():
    from mmdet.models.losses import SeesawLoss

    scores = torch.randn(6, CLASSES + 2)
    expected = SeesawLoss(num_classes=CLASSES).get_activation(scores)
    torch.testing.assert_close(seesaw(scores).softmax(1), expected)
    head = torch.nn.Module()
    head.loss_cls = SeesawLoss(num_classes=CLASSES)
    rule, logits = logits_of(head), torch.randn(6, CLASSES + 1).log_softmax(1)
    torch.testing.assert_close(rule.of(rule.write((scores, 'boxes'), logits)), logits)


def dense(kind):
    """A head of a detector that has an objectness, of three levels."""
    heads = {
        'YOLOXHead': dict(num_classes=CLASSES, in_channels=8, feat_channels=8, stacked_convs=1, strides=(4, 8, 16)),
        'YOLOV3Head': dict(num_classes=CLASSES, in_channels=[8] * 3, out_channels=[8] * 3, featmap_strides=(16, 8, 4)),
    }
    if kind == 'YOLOV3Head':
        sizes = [[(16, 20), (30, 24)], [(10, 10), (12, 18)], [(4, 6), (8, 6)]]
        heads[kind]['anchor_generator'] = dict(type='YOLOAnchorGenerator', base_sizes=sizes, strides=[16, 8, 4])
    return ConfigDict(_scope_='mmdet', type=kind, **heads[kind])


def features():
    return tuple(torch.randn(2, 8, size, size, generator=torch.Generator().manual_seed(size)) for size in (8, 4, 2))


@pytest.mark.parametrize('kind', ['YOLOXHead', 'YOLOV3Head'])
def test_an_objectness_counts_and_logits_can_be_put_in_its_place(kind):
    torch.manual_seed(0)
    head = MODELS.build(dense(kind)).eval()
    rule = logits_of(head)
    with torch.no_grad():
        output = head(features())
        found = rule.of(output)
        for level, logits in enumerate(found):
            n, _, h, w = logits.shape
            packed = output[0][level].reshape(n, -1, 5 + CLASSES, h, w) if kind == 'YOLOV3Head' else None
            classes = output[0][level].reshape(n, 1, -1, h, w) if packed is None else packed[:, :, 5:]
            objects = output[2][level].reshape(n, 1, 1, h, w) if packed is None else packed[:, :, 4:5]
            expected = (classes.sigmoid() * objects.sigmoid()).flatten(1, 2)
            torch.testing.assert_close(logits.sigmoid(), expected)
        other = [torch.randn_like(level) for level in found]
        again = rule.of(rule.write(output, other))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(again, other))


@pytest.mark.parametrize('kind', ['YOLOXHead', 'YOLOV3Head'])
def test_the_branch_has_the_objectness_too(kind):
    head = MODELS.build(dense(kind)).eval()
    branch = ClassificationBranch(head, features()).eval()
    branch.head.load_state_dict(head.state_dict(), strict=False)
    with torch.no_grad():
        assert all(map(torch.equal, branch(features()), logits_of(head).of(head(features()))))


def yolox():
    config = detector('retinanet')
    head = dense('YOLOXHead')
    head.pop('_scope_')
    return ConfigDict(
        {**config, 'type': 'YOLOX', 'bbox_head': head, 'train_cfg': dict(assigner=dict(type='SimOTAAssigner'))}
    )


def test_yolox_learns_where_there_is_something():
    """Two detectors that differ in their objectness alone: the divergence, and its gradient, see it."""
    student = lively(yolox())
    teacher = copy.deepcopy(student)
    for layer in teacher.bbox_head.multi_level_conv_obj:
        layer.bias.data.add_(2.0)
    model = MODELS.build(dict(type='shake_mm.KD', student=student, teachers=teacher, tau=2.0)).train()
    for layer in model.student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    loss = model(**model.data_preprocessor(scenes(), True), mode='loss')['loss_student_from_teacher']
    assert loss > 1e-3
    biases = [layer.bias for layer in model.student.bbox_head.multi_level_conv_obj]
    assert all(gradient.abs() > 0 for gradient in torch.autograd.grad(loss, biases))


def test_boxes_that_a_sampler_tries_out_before_do_not_count():
    """OHEM lets the head classify all boxes first; the student's logits are those of the boxes that it trains on."""
    config = detector('faster_rcnn')
    config.train_cfg.rcnn.sampler.type = 'OHEMSampler'
    student = lively(config)
    teacher = copy.deepcopy(student)
    model = MODELS.build(dict(type='shake_mm.KD', student=student, teachers=teacher)).train()
    for layer in model.student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    losses = model(**model.data_preprocessor(scenes(), True), mode='loss')
    assert 0 <= float(losses['loss_student_from_teacher']) < 1e-6


def test_boxes_of_a_branch_are_of_the_image_that_it_saw():
    from shake_mm.tasks.roi_detection import _of_images

    boxes = torch.tensor([[0.0, 1, 2, 3, 4], [3, 5, 6, 7, 8], [5, 1, 1, 2, 2]])
    expected = torch.tensor([[0.0, 1, 2, 3, 4], [1, 5, 6, 7, 8], [1, 1, 1, 2, 2]])
    assert torch.equal(_of_images(boxes, 2), expected)
