# The proxy runs the student's convolutions with BatchNorm of its own (S-BN).
_base_ = './shake.py'

method = dict(proxies=dict(type='ShadowSubnet'))
