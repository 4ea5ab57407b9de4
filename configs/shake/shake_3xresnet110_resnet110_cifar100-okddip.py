# A shadow head for every teacher (Eq. 6), the mean of them (AVER).
_base_ = '../_base_/pairs/3xresnet110_resnet110_cifar100-okddip.py'
model = dict(_delete_=True, type='shake_mm.SHAKE', student=_base_.model, teachers=_base_.teachers)
