# Without reversed distillation: the proxy does not learn from the student.
_base_ = '../_base_/pairs/resnet14_resnet8_digits100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    terms=dict(proxy_from_student=None),
)
