# Pre-train a ResNet-18 on pictures without labels: its features follow those of DINOv2, which timm downloads.
_base_ = [
    '../_base_/datasets/unlabeled_pictures.py',
    '../_base_/default_runtime.py',
    '../_base_/distill.py',
    '../_base_/methods/cosine_tokens.py',
]

student = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, num_stages=4, out_indices=(3,)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=512),
)
# Its own resolution, in patches of 14, and its own normalization.
teachers = dict(
    config=dict(
        type='shake_mm.PlainModel',
        network=dict(
            type='timm.create_model',
            model_name='vit_small_patch14_dinov2.lvd142m',
            pretrained=True,
            num_classes=0,
            img_size=224,
        ),
        data_preprocessor=dict(
            type='ImgDataPreprocessor',
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True,
        ),
    ),
    resize=224,
)
model = dict(student=student, teachers=teachers, input_size=224, **_base_.method)

optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1000),
    dict(type='CosineAnnealingLR', T_max=100, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=100)
