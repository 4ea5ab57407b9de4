# What the wide ResNets of the CRD benchmark share; each one adds its depth and its widening factor.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='shake_mm.CRDWideResNet'),
    neck=dict(type='GlobalAveragePooling'),
    # The benchmark's linear layer: torch's own weight, a zero bias.
    head=dict(
        type='LinearClsHead',
        num_classes=100,
        init_cfg=dict(
            type='Kaiming',
            layer='Linear',
            a=5**0.5,
            mode='fan_in',
            nonlinearity='leaky_relu',
            distribution='uniform',
            bias=0,
        ),
    ),
)
