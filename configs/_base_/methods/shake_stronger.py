# The shadow head has two convolutions of its own before the pooling.
_base_ = './shake.py'

method = dict(proxies=dict(type='ShadowHead', source='student.backbone', neck=dict(type='ShadowNeck')))
