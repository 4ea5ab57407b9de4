# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/wrn-16-2_cifar100.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/wrn-40-2_cifar100.py',
        checkpoint='work_dirs/wrn-40-2_cifar100/epoch_240.pth',
    ),
]
