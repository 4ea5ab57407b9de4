# KD† (60): the teacher is trained on for a quarter of the epochs, 60 of 240, and frozen from then on.
_base_ = './kd_dagger.py'

method = dict(
    stages=dict(
        both=dict(until=60),
        main=dict(terms=['task', 'student_from_teacher'], train=['student']),
    ),
)
