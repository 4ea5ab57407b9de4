_base_ = './dkd.py'

terms = dict(dkd=dict(loss=dict(beta=2.0)))
