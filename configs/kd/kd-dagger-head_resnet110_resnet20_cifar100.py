# KD† (head): of the teacher, only the classifier is trained on.
_base_ = './kd-dagger_resnet110_resnet20_cifar100.py'
model = dict(stages=[dict(train=['student', 'peers.teacher0.head'])])
