# The weight rises over a tenth of twenty epochs.
_base_ = './dkd.py'

method = dict(terms=dict(dkd=dict(warmup=2)))

terms = method['terms']  # its former name
