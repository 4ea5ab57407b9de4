# The proxy learns from the teacher by the squared error of the logits.
_base_ = '../_base_/pairs/resnet14_resnet8_digits100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    terms=dict(proxy_from_teacher=dict(loss=dict(type='MSELoss'))),
)
