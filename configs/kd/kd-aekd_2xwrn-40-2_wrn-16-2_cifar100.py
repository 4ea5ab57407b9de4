# The teachers weighed by their gradients, batch by batch (AEKD).
_base_ = '../_base_/pairs/2xwrn-40-2_wrn-16-2_cifar100.py'
model = dict(_delete_=True, type='shake_mm.KD', student=_base_.model, teachers=_base_.teachers, weighting='aekd')
