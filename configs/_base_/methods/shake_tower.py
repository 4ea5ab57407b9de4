# SHAKE with a detector's shadow that shares the student's tower but for its last layer, and has a predictor of its own.
_base_ = './shake.py'

method = dict(proxies=dict(type='ShadowTower'))
