# The proxy is a network of its own, of the architecture of the student.
_base_ = './shake.py'

method = dict(proxies=dict(type='ShadowNetwork'))
