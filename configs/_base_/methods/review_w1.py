_base_ = './review.py'

terms = dict(review=dict(weight=1.0))
