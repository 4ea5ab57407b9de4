_base_ = '../crd_resnet_v2.py'

model = dict(head=dict(in_channels=2048))
