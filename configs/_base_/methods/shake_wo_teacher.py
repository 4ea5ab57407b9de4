# Without the pre-trained teacher: the proxy learns from the labels in its place.
_base_ = './shake_gt.py'

method = dict(terms=dict(proxy_from_teacher=None))
