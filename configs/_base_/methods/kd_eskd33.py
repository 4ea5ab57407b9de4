# After a third of a hundred epochs.
_base_ = './kd_eskd.py'

method = dict(stages=dict(distill=dict(until=33)))
