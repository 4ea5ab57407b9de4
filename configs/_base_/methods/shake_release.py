# The former name.
_base_ = './shake_fusion.py'
