# The proxy learns from the teacher by cross-entropy, and from the labels.
_base_ = './shake_ce.py'

method = dict(terms=dict(proxy_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'))))
