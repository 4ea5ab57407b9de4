# AlphaNet's adaptive α-divergence in place of KL.
_base_ = '../_base_/pairs/resnet110_resnet32_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    divergence=dict(type='AlphaDivLoss'),
)
