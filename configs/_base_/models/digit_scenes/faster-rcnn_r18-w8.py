# The student: the teacher's levels and anchors on an eighth of ResNet-18's widths, with a thin neck and head.
_base_ = './faster-rcnn_r18-w32.py'

model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=64),
    ),
)
