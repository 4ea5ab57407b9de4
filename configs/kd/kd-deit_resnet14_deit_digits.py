# DeiT's own distillation: the class head learns from the labels, the distillation token's from the teacher's decision.
_base_ = ['../_base_/pairs/resnet14_deit_digits.py', '../_base_/methods/deit.py']
model = dict(
    _delete_=True,
    type='shake_mm.KD',
    student=dict(config=_base_.model, taps=_base_.taps),
    teachers=_base_.teachers,
    proxies=dict(type='ShadowToken'),
    alpha=0.5,
    lam=0.5,
    terms=dict(**_base_.terms, student_from_teacher=dict(of='proxy*.logits', loss=dict(type='HardLabelLoss'))),
)
