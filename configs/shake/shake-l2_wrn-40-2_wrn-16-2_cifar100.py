# The proxy learns from the teacher by the squared error of the logits.
_base_ = '../_base_/pairs/wrn-40-2_wrn-16-2_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    terms=dict(proxy_from_teacher=dict(loss=dict(type='MSELoss'))),
)
