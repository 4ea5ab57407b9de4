# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/shufflev1_digits100-32px.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/resnet32x4_digits100-32px.py',
        checkpoint='work_dirs/resnet32x4_digits100-32px/epoch_20.pth',
    ),
]
