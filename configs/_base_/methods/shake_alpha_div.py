# AlphaNet's adaptive α-divergence in place of KL.
_base_ = './shake.py'

method = dict(divergence=dict(type='AlphaDivLoss'))
