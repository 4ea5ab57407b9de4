# KD†, reversed distillation: the trained teacher is trained on, and learns from the student.
_base_ = '../_base_/pairs/resnet14_shufflev2_digits100.py'
model = dict(_delete_=True, type='shake_mm.DML', student=_base_.model, teachers=_base_.teachers)
