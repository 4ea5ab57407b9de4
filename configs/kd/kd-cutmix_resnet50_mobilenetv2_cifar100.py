# CutMix of every batch.
_base_ = ['./kd_resnet50_mobilenetv2_cifar100.py', '../_base_/augments/cutmix.py']
model = dict(student=_base_.student)
