# Student and its run: the baseline's. Teachers: three trainings of the same network, from different seeds:
# tools/train.py configs/baseline/resnet110_cifar100-okddip.py \
#     --work-dir work_dirs/resnet110_cifar100-okddip/seed1 --cfg-options randomness.seed=1
_base_ = ['../../baseline/resnet110_cifar100-okddip.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/resnet110_cifar100-okddip.py',
        checkpoint='work_dirs/resnet110_cifar100-okddip/seed0/epoch_300.pth',
    ),
    dict(
        config='shake_mm::baseline/resnet110_cifar100-okddip.py',
        checkpoint='work_dirs/resnet110_cifar100-okddip/seed1/epoch_300.pth',
    ),
    dict(
        config='shake_mm::baseline/resnet110_cifar100-okddip.py',
        checkpoint='work_dirs/resnet110_cifar100-okddip/seed2/epoch_300.pth',
    ),
]
