# The pairs of digits in CIFAR's shape, 32x32 and 100 classes, for networks that are made for it.
_base_ = './digits100_bs64.py'

data_preprocessor = dict(mean=[60.0, 60.0, 60.0], std=[74.4, 74.4, 74.4])

train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=2),
    dict(type='PackInputs'),
]

train_dataloader = dict(dataset=dict(image_size=32, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(image_size=32))
test_dataloader = val_dataloader
