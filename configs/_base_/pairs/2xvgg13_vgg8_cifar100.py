# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
# They differ by their seed: tools/train.py configs/baseline/vgg13_cifar100.py \
#     --work-dir work_dirs/vgg13_cifar100/seed1 --cfg-options randomness.seed=1
_base_ = ['../../baseline/vgg8_cifar100.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/vgg13_cifar100.py',
        checkpoint='work_dirs/vgg13_cifar100/seed0/epoch_240.pth',
    ),
    dict(
        config='shake_mm::baseline/vgg13_cifar100.py',
        checkpoint='work_dirs/vgg13_cifar100/seed1/epoch_240.pth',
    ),
]
