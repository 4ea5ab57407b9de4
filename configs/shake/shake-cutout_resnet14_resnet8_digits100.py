# Cutout: a hole in every image.
_base_ = ['./shake_resnet14_resnet8_digits100.py', '../_base_/augments/cutout_digits.py']
pipeline = [*_base_.train_pipeline[:-1], *_base_.augment, _base_.train_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
