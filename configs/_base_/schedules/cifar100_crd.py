# The CRD benchmark's schedule: 240 epochs, batch 64, learning rate 0.05 divided by ten at 150, 180 and 210.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='MultiStepLR', milestones=[150, 180, 210], gamma=0.1, by_epoch=True)

train_cfg = dict(by_epoch=True, max_epochs=240, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# The learning rate is meant for batches of 64 in total.
auto_scale_lr = dict(base_batch_size=64)
