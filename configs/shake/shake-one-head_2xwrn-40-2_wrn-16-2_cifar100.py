# One shadow head for all teachers.
_base_ = ['../_base_/pairs/2xwrn-40-2_wrn-16-2_cifar100.py', '../_base_/methods/shake_one_head.py']
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    proxies=[dict(type='ShadowHead')],
    terms=_base_.terms,
)
