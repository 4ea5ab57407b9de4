# CutMix of every batch.
_base_ = ['./shake_resnet32x4_resnet8x4_cifar100.py', '../_base_/augments/cutmix.py']
model = dict(student=_base_.student)
