_base_ = '../crd_wide_resnet.py'

model = dict(backbone=dict(depth=40, widen_factor=2), head=dict(in_channels=128))
