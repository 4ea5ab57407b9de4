# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/shufflev2_cifar100.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/resnet32x4_cifar100.py',
        checkpoint='work_dirs/resnet32x4_cifar100/epoch_240.pth',
    ),
]
