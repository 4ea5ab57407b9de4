# The student of the demonstration: half the benchmark's widths.
_base_ = '../crd_resnet.py'

model = dict(
    backbone=dict(depth=8, widths=(8, 8, 16, 32)),
    head=dict(in_channels=32),
)
