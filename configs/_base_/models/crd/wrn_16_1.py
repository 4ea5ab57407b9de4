_base_ = '../crd_wide_resnet.py'

model = dict(backbone=dict(depth=16, widen_factor=1), head=dict(in_channels=64))
