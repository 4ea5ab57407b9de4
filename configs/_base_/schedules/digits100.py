# Twenty epochs for the pairs of digits, shaped like CRD's schedule for CIFAR-100: minutes on a CPU.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='MultiStepLR', milestones=[12, 16, 18], gamma=0.1, by_epoch=True)

# Validate every fifth epoch, and every one at the end, where a curve shows whether it has come to rest.
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=5, dynamic_intervals=[(18, 1)])
val_cfg = dict()
test_cfg = dict()

# The learning rate is meant for batches of 64 in total.
auto_scale_lr = dict(base_batch_size=64)
