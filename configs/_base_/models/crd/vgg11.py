_base_ = '../crd_vgg.py'

model = dict(backbone=dict(depth=11))
