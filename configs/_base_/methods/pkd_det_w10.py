# The weight of mmrazor's config of RetinaNet.
_base_ = './pkd_det.py'

method = dict(terms=dict(pkd=dict(weight=10.0)))

terms = method['terms']  # its former name
