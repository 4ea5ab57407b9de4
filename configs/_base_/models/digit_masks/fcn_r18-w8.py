# The student: half of the teacher's widths, at half of its resolution.
_base_ = './fcn_r18-w16.py'

model = dict(
    backbone=dict(stem_channels=8, base_channels=8, strides=(1, 2, 1), dilations=(1, 1, 2)),
    decode_head=dict(in_channels=32, channels=16),
    auxiliary_head=dict(in_channels=16, channels=8),
)
