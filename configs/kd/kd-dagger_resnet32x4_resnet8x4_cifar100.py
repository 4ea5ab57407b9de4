# KD†, reversed distillation: the trained teacher is trained on, and learns from the student.
_base_ = '../_base_/pairs/resnet32x4_resnet8x4_cifar100.py'
model = dict(_delete_=True, type='shake_mm.DML', student=_base_.model, teachers=_base_.teachers)
