# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/wrn-40-1_digits100-32px.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/wrn-40-2_digits100-32px.py',
        checkpoint='work_dirs/wrn-40-2_digits100-32px/epoch_20.pth',
    ),
]
