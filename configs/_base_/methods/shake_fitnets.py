# SHAKE beside FitNets.
_base_ = './fitnets.py'

method = dict(type='shake_mm.SHAKE', setting='paper')
