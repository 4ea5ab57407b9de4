# DeiT's class head learns from the labels alone, with its own loss: mmpretrain's head would take the mean of both heads.
terms = dict(
    task=dict(
        of='student.logits',
        loss=dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
)
