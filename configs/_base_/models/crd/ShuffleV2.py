# The CRD benchmark's ShuffleNetV2, size 1.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='shake_mm.CRDShuffleNetV2'),
    neck=dict(type='GlobalAveragePooling'),
    # init_cfg=None leaves torch's own initialization of a linear layer, which the benchmark uses.
    head=dict(type='LinearClsHead', num_classes=100, in_channels=1024, init_cfg=None),
)
