# The CRD benchmark's ShuffleNetV1, three groups.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='shake_mm.CRDShuffleNetV1'),
    neck=dict(type='GlobalAveragePooling'),
    # init_cfg=None leaves torch's own initialization of a linear layer, which the benchmark uses.
    head=dict(type='LinearClsHead', num_classes=100, in_channels=960, init_cfg=None),
)
