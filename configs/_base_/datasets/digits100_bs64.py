# Pairs of digits at 16x16: 100 classes, no download. The set of the demonstration. At the data set's default noise of
# 0.2 the half-width ResNet-8 reaches 94 to 95 % alone; at 0.3 it stays near 90 % and has more to learn from a teacher.
dataset_type = 'shake_mm.DigitPairs'
noise = 0.3
data_preprocessor = dict(num_classes=100, mean=[60.0, 60.0, 60.0], std=[77.6, 77.6, 77.6], to_rgb=False)

# No flip: a mirrored digit is not that digit.
train_pipeline = [
    dict(type='RandomCrop', crop_size=16, padding=1),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]

# The images are tiny and in memory: worker processes would cost more than they save.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type=dataset_type,
        split='train',
        num_samples=4000,
        image_size=16,
        noise=noise,
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        type=dataset_type,
        split='val',
        num_samples=2000,
        image_size=16,
        noise=noise,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
val_evaluator = dict(type='Accuracy', topk=(1,))

test_dataloader = val_dataloader
test_evaluator = val_evaluator

# For methods that remember every sample (CRD): size of the training set, and how many others each is told from.
contrast = dict(num_samples=4000, negatives=1024)
