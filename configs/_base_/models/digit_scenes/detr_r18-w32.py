# The teacher: a small DETR on the last level, of stride 16, of half of ResNet-18's widths.
_base_ = './r18-w32_fpn.py'

width = 64
attention = dict(embed_dims=width, num_heads=4, dropout=0.0, batch_first=True)
feed_forward = dict(embed_dims=width, feedforward_channels=128, num_fcs=2, ffn_drop=0.0, act_cfg=dict(type='ReLU'))

model = dict(
    type='DETR',
    num_queries=30,
    backbone=dict(out_indices=(2,)),
    neck=dict(
        _delete_=True,
        type='ChannelMapper',
        in_channels=[128],
        kernel_size=1,
        out_channels=width,
        act_cfg=None,
        norm_cfg=None,
        num_outs=1,
    ),
    encoder=dict(num_layers=2, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=feed_forward)),
    decoder=dict(
        num_layers=3,
        return_intermediate=True,
        layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feed_forward),
    ),
    positional_encoding=dict(num_feats=width // 2, normalize=True),
    bbox_head=dict(
        type='DETRHead',
        num_classes=10,
        embed_dims=width,
        loss_cls=dict(type='CrossEntropyLoss', bg_cls_weight=0.1, use_sigmoid=False, loss_weight=1.0, class_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=5.0),
        loss_iou=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=1.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ],
        )
    ),
    test_cfg=dict(max_per_img=30),
)
