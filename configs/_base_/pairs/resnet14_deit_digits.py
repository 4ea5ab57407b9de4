# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/deit_digits.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/resnet14_digits.py',
        checkpoint='work_dirs/resnet14_digits/epoch_20.pth',
    ),
]
