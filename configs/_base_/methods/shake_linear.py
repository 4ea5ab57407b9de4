# SHAKE with a detector's shadow that owns nothing but a linear layer at each place, on the student's whole tower.
_base_ = './shake.py'

method = dict(proxies=dict(type='ShadowTower', source='student.cls_tower_last', predictor='linear'))
