# The proxy runs the student's convolutions with BatchNorm of its own (S-BN).
_base_ = '../_base_/pairs/vgg13_vgg8_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    proxies=dict(type='ShadowSubnet'),
)
