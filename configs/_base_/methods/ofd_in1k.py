# With the weight of the authors' code for ImageNet.
_base_ = './ofd.py'

method = dict(terms=dict(ofd=dict(weight=1e-4)))
