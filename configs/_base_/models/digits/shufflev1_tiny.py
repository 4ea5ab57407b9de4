# A student of another style than the teacher of the demonstration: grouped and depthwise convolutions.
_base_ = '../crd/ShuffleV1.py'

model = dict(
    backbone=dict(stem_channels=12, widths=(48, 96, 192), blocks=(1, 2, 1)),
    head=dict(in_channels=192),
)
