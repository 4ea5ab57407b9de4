# OKDDip's ResNet-110 has bottleneck blocks, 12 in each stage, where the CRD benchmark's has basic ones.
_base_ = '../crd_resnet_v2.py'

model = dict(
    backbone=dict(blocks=(12, 12, 12), widths=(16, 16, 32, 64)),
    head=dict(in_channels=256),
)
