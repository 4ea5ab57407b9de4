# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/vgg8_digits100-32px.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/vgg13_digits100-32px.py',
        checkpoint='work_dirs/vgg13_digits100-32px/epoch_20.pth',
    ),
]
