# SHAKE beside CRD.
_base_ = './crd.py'

method = dict(type='shake_mm.SHAKE', setting='paper')
