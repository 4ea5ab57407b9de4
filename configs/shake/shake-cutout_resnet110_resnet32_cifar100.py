# Cutout: a hole in every image.
_base_ = ['./shake_resnet110_resnet32_cifar100.py', '../_base_/augments/cutout.py']
pipeline = [*_base_.train_pipeline[:-1], *_base_.augment, _base_.train_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
