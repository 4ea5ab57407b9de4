# The proxy is a network of its own, of the architecture of the student.
_base_ = '../_base_/pairs/resnet110_resnet20_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    proxies=dict(type='ShadowNetwork'),
)
