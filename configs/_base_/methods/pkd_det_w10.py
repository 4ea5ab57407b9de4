# The weight of mmrazor's config of RetinaNet.
_base_ = './pkd_det.py'

terms = dict(pkd=dict(weight=10.0))
