# Student and its run: the baseline's. Teacher: the same detector on a wider backbone, trained with its own config.
_base_ = ['../../baseline/rtmdet_cspnext-w32_garment-scenes.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/rtmdet_cspnext-w96_garment-scenes.py',
        checkpoint='work_dirs/rtmdet_cspnext-w96_garment-scenes/epoch_12.pth',
    ),
]
