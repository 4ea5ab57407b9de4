# The proxy learns from the teacher by the squared error of the logits.
_base_ = './shake.py'

method = dict(terms=dict(proxy_from_teacher=dict(loss=dict(type='MSELoss'))))
