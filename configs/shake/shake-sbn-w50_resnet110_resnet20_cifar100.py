# S-BN on the first 50 % of the channels.
_base_ = '../_base_/pairs/resnet110_resnet20_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    proxies=dict(type='ShadowSubnet', width=0.5),
)
