# The CRD benchmark's MobileNetV2 of half width.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='shake_mm.CRDMobileNetV2', widen_factor=0.5),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=100,
        in_channels=1280,
        init_cfg=dict(type='Normal', layer='Linear', std=0.01, bias=0),
    ),
)
