"""Tiny mmdet detectors, and a batch for them, that tests of detection share."""

import copy

import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from shake_mm.registry import MODELS

CLASSES = 5
LEVELS = 3
_ANCHORS = dict(type='AnchorGenerator', octave_base_scale=3, scales_per_octave=2, ratios=[1.0, 1.6], strides=[4, 8, 16])
_ONE_ANCHOR = dict(type='AnchorGenerator', octave_base_scale=4, scales_per_octave=1, ratios=[1.0], strides=[4, 8, 16])
_CODER = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2])
_NORM = dict(type='GN', num_groups=2)
_FOCAL = dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0)
_QUALITY = dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0)
_GIOU = dict(type='GIoULoss', loss_weight=2.0)
_CENTER = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)
_ATSS = dict(assigner=dict(type='ATSSAssigner', topk=4), allowed_border=-1, pos_weight=-1, debug=False)
_MAX_IOU = dict(
    assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1),
    sampler=dict(type='PseudoSampler'),
    allowed_border=-1,
    pos_weight=-1,
    debug=False,
)
_TEST = dict(nms_pre=50, min_bbox_size=0, score_thr=0.0, nms=dict(type='nms', iou_threshold=0.6), max_per_img=10)

HEADS = {
    'retinanet': ('RetinaNet', dict(type='RetinaHead', anchor_generator=_ANCHORS, bbox_coder=_CODER), _MAX_IOU),
    'fcos': (
        'FCOS',
        dict(
            type='FCOSHead',
            strides=[4, 8, 16],
            regress_ranges=((-1, 16), (16, 32), (32, 1e8)),
            norm_cfg=_NORM,
            loss_cls=_FOCAL,
            loss_bbox=dict(type='IoULoss', loss_weight=1.0),
            loss_centerness=_CENTER,
        ),
        None,
    ),
    'atss': (
        'ATSS',
        dict(
            type='ATSSHead',
            anchor_generator=_ONE_ANCHOR,
            bbox_coder=_CODER,
            norm_cfg=_NORM,
            loss_cls=_FOCAL,
            loss_bbox=_GIOU,
            loss_centerness=_CENTER,
        ),
        _ATSS,
    ),
    'gfl': (
        'GFL',
        dict(
            type='GFLHead',
            anchor_generator=_ONE_ANCHOR,
            norm_cfg=_NORM,
            loss_cls=_QUALITY,
            loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25),
            reg_max=4,
            loss_bbox=_GIOU,
        ),
        _ATSS,
    ),
    'rtmdet': (
        'RTMDet',
        dict(
            type='RTMDetSepBNHead',
            anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[4, 8, 16]),
            bbox_coder=dict(type='DistancePointBBoxCoder'),
            loss_cls=_QUALITY,
            loss_bbox=_GIOU,
            with_objectness=False,
            exp_on_reg=True,
            share_conv=True,
            pred_kernel_size=1,
            norm_cfg=dict(type='BN'),
            act_cfg=dict(type='SiLU', inplace=True),
        ),
        dict(assigner=dict(type='DynamicSoftLabelAssigner', topk=5), allowed_border=-1, pos_weight=-1, debug=False),
    ),
}
_RPN_TEST = dict(nms_pre=50, max_per_img=10, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0)
_RPN_TRAIN = dict(
    assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, ignore_iof_thr=-1),
    sampler=dict(type='RandomSampler', num=16, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
    allowed_border=-1,
    pos_weight=-1,
    debug=False,
)


def _trunk(width: int, channels: int) -> dict:
    return dict(
        data_preprocessor=dict(
            type='DetDataPreprocessor', mean=[120.0, 110.0, 100.0], std=[50.0, 60.0, 70.0], pad_size_divisor=16
        ),
        backbone=dict(
            type='ResNet',
            depth=18,
            base_channels=width,
            num_stages=3,
            strides=(1, 2, 2),
            dilations=(1, 1, 1),
            out_indices=(0, 1, 2),
            norm_cfg=dict(type='BN', requires_grad=True),
            norm_eval=False,
        ),
        neck=dict(type='FPN', in_channels=[width, 2 * width, 4 * width], out_channels=channels, num_outs=LEVELS),
    )


def detector(
    kind: str = 'retinanet', width: int = 4, channels: int = 8, classes: int = CLASSES, **head: object
) -> dict:
    """Config of a detector of three levels: dense ones of ``HEADS``, ``'faster_rcnn'`` or ``'cascade_rcnn'``."""
    if kind in HEADS:
        name, own, train_cfg = HEADS[kind]
        bbox_head = (
            dict(num_classes=classes, in_channels=channels, feat_channels=channels, stacked_convs=1) | own | head
        )
        model = dict(type=name, **_trunk(width, channels), bbox_head=bbox_head, train_cfg=train_cfg, test_cfg=_TEST)
    else:
        model = _two_stage(kind, width, channels, classes)
    return ConfigDict(copy.deepcopy(dict(_scope_='mmdet', **model)))


def _two_stage(kind: str, width: int, channels: int, classes: int) -> dict:
    cascade = kind == 'cascade_rcnn'

    def box_head(stds: float) -> dict:
        return dict(
            type='Shared2FCBBoxHead',
            in_channels=channels,
            fc_out_channels=12,
            roi_feat_size=3,
            num_classes=classes,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[stds] * 4),
            reg_class_agnostic=cascade,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
        )

    def rcnn(threshold: float) -> dict:
        return dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=threshold,
                neg_iou_thr=threshold,
                min_pos_iou=threshold,
                match_low_quality=False,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type='RandomSampler', num=8, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            pos_weight=-1,
            debug=False,
        )

    extractor = dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
        out_channels=channels,
        featmap_strides=[4, 8],
        finest_scale=16,
    )
    roi_head = dict(type='StandardRoIHead', bbox_roi_extractor=extractor, bbox_head=box_head(0.1))
    if cascade:
        stages = dict(num_stages=2, stage_loss_weights=[1, 0.5], bbox_head=[box_head(0.1), box_head(0.05)])
        roi_head = {**roi_head, **stages, 'type': 'CascadeRoIHead'}
    anchors = dict(type='AnchorGenerator', scales=[3.5], ratios=[1.0, 1.6], strides=[4, 8, 16])
    return dict(
        type='CascadeRCNN' if cascade else 'FasterRCNN',
        **_trunk(width, channels),
        rpn_head=dict(type='RPNHead', in_channels=channels, feat_channels=channels, anchor_generator=anchors),
        roi_head=roi_head,
        train_cfg=dict(rpn=_RPN_TRAIN, rpn_proposal=_RPN_TEST, rcnn=[rcnn(0.5), rcnn(0.6)] if cascade else rcnn(0.5)),
        test_cfg=dict(rpn=_RPN_TEST, rcnn=dict(score_thr=0.0, nms=dict(type='nms', iou_threshold=0.5), max_per_img=10)),
    )


def lively(config: dict, seed: int = 1) -> torch.nn.Module:
    """A detector with random weights that are large enough for its answers to differ from place to place."""
    torch.manual_seed(seed)
    model = MODELS.build(copy.deepcopy(config))
    model.init_weights()
    for name, parameter in model.named_parameters():
        if 'bn' not in name:
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    for name, buffer in model.named_buffers():
        if 'running' in name:
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    return model


def scenes(n: int = 2, size: int = 64) -> dict:
    """What a data loader gives: images of two sizes, (3, size, size) and three quarters as high, with two boxes."""
    generator = torch.Generator().manual_seed(5)
    inputs, samples = [], []
    for i in range(n):
        shape = (size, size) if i % 2 == 0 else (3 * size // 4, size)
        inputs.append(torch.randint(256, (3, *shape), generator=generator, dtype=torch.uint8))
        sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0), img_id=i))
        boxes = torch.tensor([[8.0, 6, 26, 30], [30, 10, 60, 46]]) * size / 64
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([i % CLASSES, 3]))
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)
