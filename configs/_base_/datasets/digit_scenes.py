# Handwritten digits on textured canvases of 96x96: a detection set in COCO's format, drawn on first use.
dataset_type = 'shake_mm.DigitScenes'
image_size = 96

# No flip: a mirrored digit is not that digit. The images have their size already; `Resize` notes the factor of 1.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(image_size, image_size), keep_ratio=True),
    dict(type='PackDetInputs'),
]
# The samples carry their `instances`, from which CocoMetric makes its ground truth: it needs no annotation file, and
# follows the data set wherever `--cfg-options` take it.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(image_size, image_size), keep_ratio=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances'),
    ),
]

# The images are tiny: worker processes would cost more than they save.
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        split='train',
        num_images=1000,
        image_size=image_size,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        split='val',
        num_images=300,
        image_size=image_size,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='CocoMetric', metric='bbox')

test_dataloader = val_dataloader
test_evaluator = val_evaluator
