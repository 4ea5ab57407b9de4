# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/resnet32_digits100-32px.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/resnet110_digits100-32px.py',
        checkpoint='work_dirs/resnet110_digits100-32px/epoch_20.pth',
    ),
]
