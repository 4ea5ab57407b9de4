# mmpretrain's DeiT in miniature for digits of 32x32: 16 patches, a class token and a distillation token.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='DistilledVisionTransformer',
        arch=dict(embed_dims=64, num_layers=4, num_heads=4, feedforward_channels=128),
        img_size=32,
        patch_size=8,
    ),
    neck=None,
    head=dict(
        type='DeiTClsHead',
        num_classes=10,
        in_channels=64,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
    # DeiT's 0.02 is about half of one over the root of its 192 channels; so is this of 64.
    init_cfg=[
        dict(type='TruncNormal', layer='Linear', std=0.06),
        dict(type='Constant', layer='LayerNorm', val=1.0, bias=0.0),
    ],
)
