# Handwritten digits on textured canvases of 64x64, with the class of every pixel, drawn on first use.
dataset_type = 'shake_mm.DigitMasks'
image_size = 64

# No flip: a mirrored digit is not that digit.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
# The images have their size already. (mmsegmentation's inference reads this.)
test_pipeline = train_pipeline

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
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])

test_dataloader = val_dataloader
test_evaluator = val_evaluator
