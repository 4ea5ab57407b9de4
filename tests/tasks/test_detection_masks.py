"""Masks of the boxes that the student takes: the teacher's of the same ones, and what is compared in an export."""

import copy

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from torch.nn import functional as F

from shake_mm.compat import configs_dir
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks import task_of
from tests.support.detectors import CLASSES, detector, lively, scenes


def with_masks(kind, width=4, channels=8):
    """A two-stage detector with a mask head, or one at each stage."""
    config = detector(kind, width, channels)
    head = dict(
        type='FCNMaskHead',
        num_convs=1,
        in_channels=channels,
        conv_out_channels=8,
        num_classes=CLASSES,
        loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.0),
    )
    extractor = copy.deepcopy(config.roi_head.bbox_roi_extractor)
    extractor.roi_layer.output_size = 4
    stages = 2 if kind == 'cascade_rcnn' else 1
    config.roi_head.update(mask_roi_extractor=extractor, mask_head=[head] * stages if stages > 1 else head)
    for rcnn in config.train_cfg.rcnn if stages > 1 else [config.train_cfg.rcnn]:
        rcnn.mask_size = 8
    config.type = 'MaskRCNN' if stages == 1 else config.type
    return ConfigDict(config)


def pictures():
    data = scenes()
    for i, sample in enumerate(data['data_samples']):
        height, width = sample.img_shape
        bitmaps = np.random.RandomState(i).randint(2, size=(2, height, width)).astype(np.uint8)
        sample.gt_instances.masks = BitmapMasks(bitmaps, height, width)
    return data


def distiller(kind, equal=False):
    method = Config.fromfile(f'{configs_dir()}/_base_/methods/kd_masks.py').method
    student = lively(with_masks(kind))
    teacher = copy.deepcopy(student) if equal else lively(with_masks(kind, 6, 12), 2)
    model = MODELS.build(dict(student=student, teachers=[teacher], **method)).train()
    for layer in model.student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()  # a teacher's statistics are its running ones
    return model


@pytest.mark.parametrize('kind', ['faster_rcnn', 'cascade_rcnn'])
def test_an_equal_teacher_s_masks_are_the_same(kind):
    model = distiller(kind, equal=True)
    losses = model(**model.data_preprocessor(pictures(), True), mode='loss')
    assert 0 <= losses['loss_masks'] < 1e-6 and losses['loss_student_from_teacher'] < 1e-6


@pytest.mark.parametrize('kind', ['faster_rcnn', 'cascade_rcnn'])
def test_the_teacher_s_masks_are_of_the_student_s_boxes(kind):
    """By the formula on masks that both heads are asked for; the gradient reaches the mask head, not the boxes'."""
    model = distiller(kind)
    data = model.data_preprocessor(pictures(), True)
    boxes, labels, mine = [], [], []
    head = model.student.roi_head
    extractors, heads = head.mask_roi_extractor, head.mask_head
    for extractor, mask_head in zip(*([x] if kind == 'faster_rcnn' else x for x in (extractors, heads))):
        extractor.register_forward_hook(lambda module, args, output: boxes.append(args[1].clone()))
        mask_head.register_forward_hook(lambda module, args, output: mine.append(output))
        plain = mask_head.loss_by_feat if hasattr(mask_head, 'loss_by_feat') else mask_head.loss_mask.forward
        mask_head.loss_mask.forward = lambda pred, target, label, plain=plain: (
            labels.append(label.clone()) or plain(pred, target, label)
        )
    losses = model(**data, mode='loss')
    teacher = model.members.frozen['teacher0']
    with torch.no_grad():
        feats = teacher.network.extract_feat(teacher.view(data['inputs']))
    wanted = 0
    for stage, (rois, classes, masks) in enumerate(zip(boxes, labels, mine, strict=True)):
        where = (stage,) if kind == 'cascade_rcnn' else ()
        with torch.no_grad():
            its = teacher.network.roi_head._mask_forward(*where, feats, rois)['mask_preds'].double()
        row = torch.arange(len(rois))
        m, t = masks.double()[row, classes], its[row, classes]
        yes, no = (F.logsigmoid(sign * t) - F.logsigmoid(sign * m) for sign in (1, -1))
        wanted = wanted + (t.sigmoid() * yes + (-t).sigmoid() * no).mean()
        assert len(rois) > 1
    torch.testing.assert_close(losses['loss_masks'].double(), wanted, rtol=1e-4, atol=1e-6)
    named = dict(model.student.named_parameters())
    found = torch.autograd.grad(losses['loss_masks'], list(named.values()), allow_unused=True)
    moved = {name for name, g in zip(named, found) if g is not None and g.abs().sum() > 0}
    assert any('mask_head' in name for name in moved) and not any('bbox_head' in name for name in moved)
    assert any('backbone' in name for name in moved)
    assert 'loss_and_target' not in vars(heads if kind == 'faster_rcnn' else heads[0])


def test_masks_do_not_run_where_no_term_reads_them():
    student = lively(with_masks('faster_rcnn'))
    model = MODELS.build(dict(type='shake_mm.KD', student=student, teachers=[copy.deepcopy(student)])).train()
    calls = []
    network = model.members.frozen['teacher0'].network
    network.roi_head.mask_head.register_forward_hook(lambda *args: calls.append(1))
    model(**model.data_preprocessor(pictures(), True), mode='loss')
    assert not calls


@pytest.mark.parametrize('kind', ['faster_rcnn', 'cascade_rcnn'])
def test_an_export_compares_masks(kind):
    network = lively(with_masks(kind)).eval()
    task, inputs = task_of(network), torch.randn(2, 3, 64, 64)
    before = task.outputs(network, inputs)
    heads = network.roi_head.mask_head
    for head in [heads] if kind == 'faster_rcnn' else heads:
        head.conv_logits.bias.data.add_(1)
    after = task.outputs(network, inputs)
    assert sum(not torch.equal(a, b) for a, b in zip(before, after)) == (1 if kind == 'faster_rcnn' else 2)


@pytest.mark.parametrize(
    'path, part',
    [
        ('condinst/condinst_r50_fpn_ms-poly-90k_coco_instance', 'mask_feature_head.conv_pred'),
        pytest.param('solo/solo_r50_fpn_1x_coco', 'conv_mask_list.0', marks=pytest.mark.slow),
        pytest.param('solov2/solov2_r50_fpn_1x_coco', 'mask_feature_head.conv_pred.conv', marks=pytest.mark.slow),
        ('yolact/yolact_r50_1xb8-55e_coco', 'protonet.0'),
    ],
    ids=lambda value: value.partition('/')[0] if '/' in value else '',
)
def test_an_export_of_a_one_stage_detector_compares_what_masks_are_made_of(path, part):
    from tests.configs.detectors import model_of

    config = model_of(f'mmdet::{path}.py')
    config.backbone.update(depth=18, base_channels=8, init_cfg=None)
    config.neck.in_channels = [8, 16, 32, 64]
    network = MODELS.build(config).eval()
    task, inputs = task_of(network), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = task.outputs(network, inputs)
        layer = network.mask_head.get_submodule(part)
        for parameter in layer.parameters():
            parameter.mul_(-1.5).add_(0.3)
        after = task.outputs(network, inputs)
    assert any(not torch.equal(a, b) for a, b in zip(before, after))


def test_a_student_without_masks_is_refused():
    method = Config.fromfile(f'{configs_dir()}/_base_/methods/kd_masks.py').method
    student = lively(detector('faster_rcnn'))
    with pytest.raises(UsageError, match="'student.masks' is none of .* a StandardRoIHead has no mask head that reads"):
        MODELS.build(dict(student=student, teachers=[copy.deepcopy(student)], **method))
