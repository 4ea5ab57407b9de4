# Pairs of garments at 32x32: 100 classes of real pictures in the shape of CIFAR-100. `make data` fetches their parts.
_base_ = './fashion_bs64.py'
dataset_type = 'shake_mm.GarmentPairs'

data_preprocessor = dict(num_classes=100, mean=[36.4, 36.4, 36.4], std=[69.5, 69.5, 69.5])

# No flip: it would put the left garment to the right.
train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=2),
    dict(type='PackInputs'),
]

train_dataloader = dict(dataset=dict(type=dataset_type, num_samples=20000, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type=dataset_type, num_samples=5000))
test_dataloader = dict(dataset=dict(type=dataset_type, num_samples=5000))

contrast = dict(num_samples=20000, negatives=4096)
