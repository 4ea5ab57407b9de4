# The student alone, run by the same engine, so that its gap to the teacher is reported too.
_base_ = '../_base_/pairs/resnet14_deit_digits.py'
model = dict(_delete_=True, type='shake_mm.Baseline', student=_base_.model, teachers=_base_.teachers)
