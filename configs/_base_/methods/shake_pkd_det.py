# SHAKE beside PKD on detectors.
_base_ = './pkd_det.py'

method = dict(type='shake_mm.SHAKE', setting='paper')
