# The proxy learns from the labels too.
_base_ = '../_base_/pairs/wrn-40-2_wrn-16-2_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    terms=dict(proxy_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'))),
)
