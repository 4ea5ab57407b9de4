# KD† (head): of the teacher only the classifier is trained on.
_base_ = '../_base_/pairs/wrn-40-2_wrn-16-2_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.DML',
    student=_base_.model,
    teachers=_base_.teachers,
    stages=[dict(train=['student', 'peers.teacher0.head'])],
)
