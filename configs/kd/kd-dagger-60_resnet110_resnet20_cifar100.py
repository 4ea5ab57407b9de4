# KD† (60): the teacher is trained on for the first quarter of the epochs (60 here), then frozen.
_base_ = './kd-dagger_resnet110_resnet20_cifar100.py'
model = dict(stages=[dict(until=60), dict(terms=['task', 'student_from_teacher'], train=['student'])])
