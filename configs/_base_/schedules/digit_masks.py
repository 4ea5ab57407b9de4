# Thirty epochs from scratch: the canvas is learned in a few, the digits come after ten and go on getting better.
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=5e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=60),
    dict(type='CosineAnnealingLR', T_max=30, eta_min_ratio=0.01, by_epoch=True, convert_to_iter_based=True),
]

train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=5)
val_cfg = dict()
test_cfg = dict()

# The learning rate is meant for batches of 16 in total.
auto_scale_lr = dict(base_batch_size=16)
