# What the VGGs of the CRD benchmark share; each one adds its depth.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='shake_mm.CRDVGG'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=100,
        in_channels=512,
        init_cfg=dict(type='Normal', layer='Linear', std=0.01, bias=0),
    ),
)
