# CutMix (Yun et al., 2019) of every batch by mmpretrain. The student's preprocessor mixes, before any member runs, so
# student, proxies and teachers see the same images; the labels are mixed by the share of the area.
student = dict(
    train_cfg=dict(augments=dict(type='CutMix', alpha=1.0)),
    head=dict(loss=dict(type='CrossEntropyLoss', use_soft=True)),
)
