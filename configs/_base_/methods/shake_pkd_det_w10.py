# SHAKE beside PKD, with the weight of mmrazor's config of RetinaNet.
_base_ = './pkd_det_w10.py'

method = dict(type='shake_mm.SHAKE', setting='paper')
