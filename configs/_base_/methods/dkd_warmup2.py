# The weight rises over a tenth of twenty epochs.
_base_ = './dkd.py'

terms = dict(dkd=dict(warmup=2))
