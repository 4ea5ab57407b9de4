# The student: the teacher's levels on an eighth of ResNet-18's widths, with a thin neck and head.
_base_ = './fcos_r18-w32.py'

model = dict(
    backbone=dict(base_channels=8),
    neck=dict(in_channels=[8, 16, 32], out_channels=24),
    bbox_head=dict(in_channels=24, feat_channels=24, stacked_convs=1),
)
