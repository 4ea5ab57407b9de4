# KD† (60): the teacher is trained on for a quarter of the epochs, 60 of 240, and frozen from then on.
_base_ = '../_base_/pairs/vgg13_vgg8_cifar100.py'
model = dict(
    _delete_=True,
    type='shake_mm.DML',
    student=_base_.model,
    teachers=_base_.teachers,
    stages=[dict(until=60), dict(terms=['task', 'student_from_teacher'], train=['student'])],
)
