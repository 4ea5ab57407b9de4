# The CRD benchmark's schedule: 240 epochs, batch 64, learning rate 0.05 divided by ten at 150, 180 and 210.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='MultiStepLR', milestones=[150, 180, 210], gamma=0.1, by_epoch=True)

train_cfg = dict(by_epoch=True, max_epochs=240, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# The learning rate is meant for batches of 64 in total.
auto_scale_lr = dict(base_batch_size=64)

# Methods that begin with an initialization (AB, FT) do so for 30 epochs, before the schedule.
with_init = dict(
    until=30,
    train_cfg=dict(max_epochs=270),
    param_scheduler=dict(type='MultiStepLR', begin=30, milestones=[150, 180, 210], gamma=0.1, by_epoch=True),
    # FT's paraphraser learns at a fifth of the rate, but for VGG students. (`end` is one more than the epochs:
    # mmengine's ConstantLR gives the rate back in the last epoch before it.)
    slow_param_scheduler=[
        dict(type='ConstantLR', factor=0.2, begin=0, end=31, by_epoch=True),
        dict(type='MultiStepLR', begin=30, milestones=[150, 180, 210], gamma=0.1, by_epoch=True),
    ],
)
