_base_ = [
    '../_base_/models/crd/wrn_40_2.py',
    '../_base_/datasets/cifar100_bs64.py',
    '../_base_/schedules/cifar100_crd.py',
    '../_base_/default_runtime.py',
]
