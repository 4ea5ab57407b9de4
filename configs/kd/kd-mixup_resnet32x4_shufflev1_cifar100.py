# Mixup of every batch.
_base_ = ['./kd_resnet32x4_shufflev1_cifar100.py', '../_base_/augments/mixup.py']
model = dict(student=_base_.student)
