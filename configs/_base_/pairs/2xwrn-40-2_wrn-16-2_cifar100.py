# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
# They differ by their seed: tools/train.py configs/baseline/wrn-40-2_cifar100.py \
#     --work-dir work_dirs/wrn-40-2_cifar100/seed1 --cfg-options randomness.seed=1
_base_ = ['../../baseline/wrn-16-2_cifar100.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/wrn-40-2_cifar100.py',
        checkpoint='work_dirs/wrn-40-2_cifar100/seed0/epoch_240.pth',
    ),
    dict(
        config='shake_mm::baseline/wrn-40-2_cifar100.py',
        checkpoint='work_dirs/wrn-40-2_cifar100/seed1/epoch_240.pth',
    ),
]
