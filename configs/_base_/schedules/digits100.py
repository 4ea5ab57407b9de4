# Twenty epochs for the pairs of digits, shaped like CRD's schedule for CIFAR-100: minutes on a CPU.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='MultiStepLR', milestones=[12, 16, 18], gamma=0.1, by_epoch=True)

# Validate every fifth epoch, and every one at the end, where a curve shows whether it has come to rest.
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=5, dynamic_intervals=[(18, 1)])
val_cfg = dict()
test_cfg = dict()

# The learning rate is meant for batches of 64 in total.
auto_scale_lr = dict(base_batch_size=64)

# Methods that begin with an initialization (AB, FT) do so for 3 epochs, before the schedule.
with_init = dict(
    until=3,
    train_cfg=dict(max_epochs=23, val_interval=5, dynamic_intervals=[(21, 1)]),
    param_scheduler=dict(type='MultiStepLR', begin=3, milestones=[12, 16, 18], gamma=0.1, by_epoch=True),
    # FT's paraphraser learns at a fifth of the rate, but for VGG students. (`end` is one more than the epochs:
    # mmengine's ConstantLR gives the rate back in the last epoch before it.)
    slow_param_scheduler=[
        dict(type='ConstantLR', factor=0.2, begin=0, end=4, by_epoch=True),
        dict(type='MultiStepLR', begin=3, milestones=[12, 16, 18], gamma=0.1, by_epoch=True),
    ],
)
