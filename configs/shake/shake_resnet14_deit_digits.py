_base_ = ['../_base_/pairs/resnet14_deit_digits.py', '../_base_/methods/deit.py']
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=dict(config=_base_.model, taps=_base_.taps),
    teachers=_base_.teachers,
    proxies=dict(type='ShadowToken'),
    terms=_base_.terms,
)
