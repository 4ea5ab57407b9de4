# CutMix of every batch.
_base_ = ['./shake_vgg13_vgg8_cifar100.py', '../_base_/augments/cutmix.py']
model = dict(student=_base_.student)
