# A shadow head for every teacher, weighed by their gradients (AEKD).
_base_ = '../_base_/pairs/2xresnet110_resnet20_cifar100.py'
model = dict(_delete_=True, type='shake_mm.SHAKE', student=_base_.model, teachers=_base_.teachers, weighting='aekd')
