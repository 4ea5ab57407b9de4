# SHAKE beside ReviewKD on detectors.
_base_ = './review_det.py'

method = dict(type='shake_mm.SHAKE', setting='paper')
