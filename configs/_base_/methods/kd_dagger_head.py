# KD† (head): of the teacher only the classifier is trained on.
_base_ = './kd_dagger.py'

method = dict(stages=dict(main=dict(train=['student', 'peers.teacher0.head'])))
