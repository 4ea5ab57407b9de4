# The weight rises over a tenth of twenty epochs.
_base_ = './review.py'

terms = dict(review=dict(warmup=2))
