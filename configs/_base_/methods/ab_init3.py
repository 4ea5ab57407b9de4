# The initialization takes 3 epochs, beside twenty.
_base_ = './ab.py'

method = dict(stages=dict(init=dict(until=3)))
