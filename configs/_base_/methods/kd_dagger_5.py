# The teacher is trained on for a quarter of the epochs, 5 of 20.
_base_ = './kd_dagger_60.py'

method = dict(stages=dict(both=dict(until=5)))
