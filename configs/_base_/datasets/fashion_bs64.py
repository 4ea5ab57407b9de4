# Fashion-MNIST at 32x32: 10 classes, 28x28 pictures in a black border. `make data` puts it into data/fashion_mnist.
# A sixth of the training pictures validates, and the test pictures are for reports alone.
dataset_type = 'shake_mm.Garments'
data_preprocessor = dict(num_classes=10, mean=[55.8, 55.8, 55.8], std=[84.6, 84.6, 84.6], to_rgb=False)

train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=2),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]

# The images are tiny and in memory: worker processes would cost more than they save.
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type=dataset_type, split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type=dataset_type, split='val', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
val_evaluator = dict(type='Accuracy', topk=(1,))

test_dataloader = dict(
    batch_size=250,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type=dataset_type, split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
)
test_evaluator = val_evaluator

# For methods that remember every sample (CRD): size of the training set, and how many others each is told from.
contrast = dict(num_samples=50000, negatives=4096)
