# OKDDip's schedule: 300 epochs, batch 128, learning rate 0.1 divided by ten at 150 and 225; Nesterov's momentum, as its
# code has it (its paper and the SHAKE paper say "SGD").
_base_ = './cifar100_crd.py'

optim_wrapper = dict(optimizer=dict(lr=0.1, nesterov=True))
param_scheduler = dict(milestones=[150, 225])
train_cfg = dict(max_epochs=300)

# The learning rate is meant for batches of 128 in total.
auto_scale_lr = dict(base_batch_size=128)
