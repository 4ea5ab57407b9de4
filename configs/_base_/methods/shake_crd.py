# SHAKE beside CRD.
_base_ = './crd.py'

method = dict(type='shake_mm.SHAKE', tau=4.0)
