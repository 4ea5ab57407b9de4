_base_ = [
    '../_base_/models/crd/wrn_20_8.py',
    '../_base_/datasets/cifar100_bs128.py',
    '../_base_/schedules/cifar100_okddip.py',
    '../_base_/default_runtime.py',
]
