# CutMix of every batch.
_base_ = ['./shake_wrn-40-2_wrn-16-2_cifar100.py', '../_base_/augments/cutmix.py']
model = dict(student=_base_.student)
