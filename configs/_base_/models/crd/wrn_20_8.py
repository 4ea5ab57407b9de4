# The WRN-20-8 of the paper's Table 5 comes from OKDDip: a bottleneck ResNet whose 3x3 convolutions are 8 times as wide.
_base_ = '../crd_resnet_v2.py'

model = dict(
    backbone=dict(blocks=(2, 2, 2), widths=(16, 16, 32, 64), widen_factor=8),
    head=dict(in_channels=256),
)
