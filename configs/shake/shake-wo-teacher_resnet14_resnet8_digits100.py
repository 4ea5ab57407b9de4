# Without the pre-trained teacher: the proxy learns from the labels in its place.
_base_ = '../_base_/pairs/resnet14_resnet8_digits100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    terms=dict(
        proxy_from_teacher=None, proxy_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'))
    ),
)
