# DETRDistill for DETR's own head, whose softmax has a background.
_base_ = './detrdistill.py'

method = dict(
    terms=dict(
        matched=dict(loss=dict(activation='softmax')),
        assigned=dict(loss=dict(activation='softmax')),
        aware=dict(loss=dict(activation='softmax')),
    ),
)
