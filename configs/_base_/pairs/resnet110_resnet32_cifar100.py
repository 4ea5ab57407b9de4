# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/resnet32_cifar100.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/resnet110_cifar100.py',
        checkpoint='work_dirs/resnet110_cifar100/epoch_240.pth',
    ),
]
