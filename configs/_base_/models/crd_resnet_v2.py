# What the bottleneck ResNets of 32x32 images share: the CRD benchmark's ResNet50 and OKDDip's WRN-20-8.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='shake_mm.CRDResNetV2'),
    neck=dict(type='GlobalAveragePooling'),
    # init_cfg=None leaves torch's own initialization of a linear layer, which the benchmark uses.
    head=dict(type='LinearClsHead', num_classes=100, init_cfg=None),
)
