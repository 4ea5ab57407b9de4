# Twenty epochs for transformers on digits, shaped like DeiT's 300 on ImageNet: AdamW, warm-up, cosine.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.dist_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        },
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.01, by_epoch=True, begin=2, convert_to_iter_based=True),
]

# Validate every fifth epoch, and every one at the end, where a curve shows whether it has come to rest.
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=5, dynamic_intervals=[(18, 1)])
val_cfg = dict()
test_cfg = dict()

# The learning rate is meant for batches of 32 in total.
auto_scale_lr = dict(base_batch_size=32)
