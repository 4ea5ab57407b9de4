# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/deit_digits100.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/resnet14_digits100.py',
        checkpoint='work_dirs/resnet14_digits100/epoch_20.pth',
    ),
]
