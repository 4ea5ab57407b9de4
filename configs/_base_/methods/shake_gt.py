# The proxy learns from the labels too.
_base_ = './shake.py'

method = dict(terms=dict(proxy_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'))))
