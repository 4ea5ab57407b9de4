# After a third of twenty epochs.
_base_ = './kd_eskd.py'

method = dict(stages=dict(distill=dict(until=7)))
