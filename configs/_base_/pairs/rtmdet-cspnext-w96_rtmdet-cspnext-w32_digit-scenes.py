# Student and its run: the baseline's. Teacher: the same detector on a wider backbone, trained with its own config.
_base_ = ['../../baseline/rtmdet_cspnext-w32_digit-scenes.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/rtmdet_cspnext-w96_digit-scenes.py',
        checkpoint='work_dirs/rtmdet_cspnext-w96_digit-scenes/epoch_12.pth',
    ),
]
