_base_ = './review.py'

method = dict(terms=dict(review=dict(weight=8.0)))

terms = method['terms']  # its former name
