# The student alone, run by the same engine, so that its gap to the teachers is reported too.
_base_ = '../_base_/pairs/3xwrn-20-8_wrn-20-8_cifar100-okddip.py'
model = dict(_delete_=True, type='shake_mm.Baseline', student=_base_.model, teachers=_base_.teachers)
