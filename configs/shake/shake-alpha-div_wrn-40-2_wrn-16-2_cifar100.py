# AlphaNet's adaptive α-divergence in place of KL.
_base_ = '../_base_/pairs/wrn-40-2_wrn-16-2_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    divergence=dict(type='AlphaDivLoss'),
)
