# The student: an eighth of ResNet-18's widths. Encoder and decoder are the teacher's in width and depth, so that one
# answers the other's queries.
_base_ = './detr_r18-w32.py'

model = dict(backbone=dict(base_channels=8), neck=dict(in_channels=[32]))
