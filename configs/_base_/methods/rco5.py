# In quarters of twenty epochs.
_base_ = './rco.py'

method = dict(stages=dict(first=dict(until=5), second=dict(until=10), third=dict(until=15)))
