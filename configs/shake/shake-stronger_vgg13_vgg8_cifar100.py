# The shadow head has two convolutions of its own before the pooling.
_base_ = '../_base_/pairs/vgg13_vgg8_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    proxies=dict(type='ShadowHead', source='student.backbone', neck=dict(type='ShadowNeck')),
)
