# The mean of the teachers (AVER).
_base_ = '../_base_/pairs/2xvgg13_vgg8_cifar100.py'
model = dict(_delete_=True, type='shake_mm.KD', student=_base_.model, teachers=_base_.teachers)
