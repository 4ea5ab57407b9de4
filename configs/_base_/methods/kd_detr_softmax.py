# KD-DETR for DETR's own head, whose softmax has a background.
_base_ = './kd_detr.py'

method = dict(
    terms=dict(
        specialized_cls=dict(loss=dict(activation='softmax')),
        specialized_box=dict(loss=dict(activation='softmax')),
        general_cls=dict(loss=dict(activation='softmax')),
        general_box=dict(loss=dict(activation='softmax')),
    ),
)
