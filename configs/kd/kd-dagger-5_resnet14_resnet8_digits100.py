# KD† (60): the teacher is trained on for the first quarter of the epochs (5 here), then frozen.
_base_ = './kd-dagger_resnet14_resnet8_digits100.py'
model = dict(stages=[dict(until=5), dict(terms=['task', 'student_from_teacher'], train=['student'])])
