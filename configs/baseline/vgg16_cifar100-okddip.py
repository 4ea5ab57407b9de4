_base_ = [
    '../_base_/models/okddip/vgg16.py',
    '../_base_/datasets/cifar100_bs128.py',
    '../_base_/schedules/cifar100_okddip.py',
    '../_base_/default_runtime.py',
]
