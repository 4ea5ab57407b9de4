# What the CIFAR ResNets of the CRD benchmark share; each one adds its depth, and its widths where they differ.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='shake_mm.CRDResNet', widths=(16, 16, 32, 64)),
    neck=dict(type='GlobalAveragePooling'),
    # init_cfg=None leaves torch's own initialization of a linear layer, which the benchmark uses.
    head=dict(type='LinearClsHead', num_classes=100, in_channels=64, init_cfg=None),
)
