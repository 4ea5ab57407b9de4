# CutMix of every batch.
_base_ = ['./shake_resnet14_resnet8_digits100.py', '../_base_/augments/cutmix.py']
model = dict(student=_base_.student)
