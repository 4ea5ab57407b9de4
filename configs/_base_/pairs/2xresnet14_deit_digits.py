# Student and its run: the baseline's. Teachers: two of the larger net, trained with its own config.
# They differ by their seed: tools/train.py configs/baseline/resnet14_digits.py \
#     --work-dir work_dirs/resnet14_digits/seed1 --cfg-options randomness.seed=1
_base_ = ['../../baseline/deit_digits.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/resnet14_digits.py',
        checkpoint='work_dirs/resnet14_digits/seed0/epoch_20.pth',
    ),
    dict(
        config='shake_mm::baseline/resnet14_digits.py',
        checkpoint='work_dirs/resnet14_digits/seed1/epoch_20.pth',
    ),
]
