# The teachers weighed by their gradients, batch by batch (AEKD).
_base_ = '../_base_/pairs/3xresnet14_resnet8_digits100.py'
model = dict(_delete_=True, type='shake_mm.KD', student=_base_.model, teachers=_base_.teachers, weighting='aekd')
