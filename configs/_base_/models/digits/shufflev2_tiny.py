# A student of another style than the teacher of the demonstration: depthwise convolutions, split and shuffled channels.
_base_ = '../crd/ShuffleV2.py'

model = dict(
    backbone=dict(stem_channels=16, widths=(32, 64, 128, 128), blocks=(1, 2, 1)),
    head=dict(in_channels=128),
)
