_base_ = ['../_base_/pairs/resnet14_deit_digits100.py', '../_base_/methods/deit.py']
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.student,
    teachers=_base_.teachers,
    proxies=dict(type='ShadowToken'),
    terms=_base_.terms,
)
