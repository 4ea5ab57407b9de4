# DeiT's two heads apart, where mmpretrain's takes their mean: the student's logits are those of the class head, which
# learns from the labels by DeiT's loss. The distillation token's are a proxy's. What `kd_deit.py` and `shake_deit.py`
# share; a config says which logits are meant: `student=dict(config=_base_.model, taps=_base_.taps)`.
taps = dict(logits='head.layers.head')
method = dict(
    proxies=dict(type='ShadowToken'),
    terms=dict(
        task=dict(
            of='student.logits',
            loss=dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        ),
    ),
)

terms = method['terms']  # its former name
