# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
# They differ by their seed: tools/train.py configs/baseline/resnet14_digits100.py \
#     --work-dir work_dirs/resnet14_digits100/seed1 --cfg-options randomness.seed=1
_base_ = ['../../baseline/resnet8_digits100.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/resnet14_digits100.py',
        checkpoint='work_dirs/resnet14_digits100/seed0/epoch_20.pth',
    ),
    dict(
        config='shake_mm::baseline/resnet14_digits100.py',
        checkpoint='work_dirs/resnet14_digits100/seed1/epoch_20.pth',
    ),
    dict(
        config='shake_mm::baseline/resnet14_digits100.py',
        checkpoint='work_dirs/resnet14_digits100/seed2/epoch_20.pth',
    ),
]
