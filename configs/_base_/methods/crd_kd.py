# CRD beside KD with its full cross-entropy.
_base_ = './crd.py'

method = dict(type='shake_mm.KD', setting='paper')
