# Mixup (Zhang et al., 2018) of every batch by mmpretrain. The student's preprocessor mixes, before any member runs, so
# student, proxies and teachers see the same images; the labels are mixed in the same share.
student = dict(
    train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)),
    head=dict(loss=dict(type='CrossEntropyLoss', use_soft=True)),
)
