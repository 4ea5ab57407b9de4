# Soft distillation: the mean of both heads learns from the teacher.
_base_ = '../_base_/pairs/resnet14_deit_digits.py'
model = dict(_delete_=True, type='shake_mm.KD', student=_base_.model, teachers=_base_.teachers)
