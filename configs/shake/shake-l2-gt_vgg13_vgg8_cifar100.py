# The proxy learns from the teacher by the squared error of the logits, and from the labels.
_base_ = '../_base_/pairs/vgg13_vgg8_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    terms=dict(
        proxy_from_teacher=dict(loss=dict(type='MSELoss')),
        proxy_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss')),
    ),
)
