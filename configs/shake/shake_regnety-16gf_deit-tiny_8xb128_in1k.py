_base_ = ['../_base_/pairs/regnety-16gf_deit-tiny_8xb128_in1k.py', '../_base_/methods/deit.py']
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.student,
    teachers=_base_.teachers,
    proxies=dict(type='ShadowToken'),
    terms=_base_.terms,
)
