# The proxy learns from the teacher by cross-entropy.
_base_ = './shake.py'

method = dict(terms=dict(proxy_from_teacher=dict(loss=dict(type='SoftCELoss'))))
