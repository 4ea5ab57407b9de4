_base_ = './dkd.py'

method = dict(terms=dict(dkd=dict(loss=dict(beta=6.0))))

terms = method['terms']  # its former name
