# Mixup of every batch.
_base_ = ['./kd_wrn-40-2_wrn-40-1_cifar100.py', '../_base_/augments/mixup.py']
model = dict(student=_base_.student)
