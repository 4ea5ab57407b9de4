# DeiT's two heads apart, where mmpretrain's takes their mean: the student's logits are those of the class head, which
# learns from the labels by DeiT's loss. The distillation token's are a proxy's, `shake_mm.ShadowToken`.
taps = dict(logits='head.layers.head')
terms = dict(
    task=dict(
        of='student.logits',
        loss=dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
)
