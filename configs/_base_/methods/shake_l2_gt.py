# The proxy learns from the teacher by the squared error of the logits, and from the labels.
_base_ = './shake_l2.py'

method = dict(terms=dict(proxy_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'))))
