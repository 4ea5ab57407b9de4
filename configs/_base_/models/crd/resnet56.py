_base_ = '../crd_resnet.py'

model = dict(backbone=dict(depth=56))
