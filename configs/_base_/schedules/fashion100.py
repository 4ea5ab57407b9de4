# Ten epochs of 20,000 images, shaped like CRD's schedule for CIFAR-100: a minute or two on a CPU for small networks.
_base_ = './digits100.py'

param_scheduler = dict(milestones=[6, 8, 9])
train_cfg = dict(max_epochs=10, dynamic_intervals=[(8, 1)])
