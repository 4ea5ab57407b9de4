# OKDDip's VGG-16: a max pool after every block, down to one pixel of an image of 32x32, and three linear layers. The
# CRD benchmark's has four pools and one linear layer.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='VGG', depth=16, norm_cfg=dict(type='BN')),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='StackedLinearClsHead',
        num_classes=100,
        in_channels=512,
        mid_channels=[512, 512],
        init_cfg=dict(type='Normal', layer='Linear', std=0.01, bias=0),
    ),
)
