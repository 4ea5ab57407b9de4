# The 1,797 digits of scikit-learn at 32x32: 10 classes, no download.
dataset_type = 'shake_mm.Digits'
data_preprocessor = dict(num_classes=10, mean=[78.0, 78.0, 78.0], std=[83.0, 83.0, 83.0], to_rgb=False)

train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]

# The images are tiny and in memory: worker processes would cost more than they save.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type=dataset_type, split='train', image_size=32, pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type=dataset_type, split='val', image_size=32, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
val_evaluator = dict(type='Accuracy', topk=(1,))

test_dataloader = val_dataloader
test_evaluator = val_evaluator

# For methods that remember every sample (CRD): size of the training set, and how many others each is told from.
contrast = dict(num_samples=1347, negatives=256)
