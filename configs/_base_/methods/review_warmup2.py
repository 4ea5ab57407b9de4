# The weight rises over a tenth of twenty epochs.
_base_ = './review.py'

method = dict(terms=dict(review=dict(warmup=2)))

terms = method['terms']  # its former name
