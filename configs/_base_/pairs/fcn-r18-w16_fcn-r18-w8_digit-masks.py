# Student and its run: the baseline's. Teacher: a wider network of twice the resolution, trained with its own config.
_base_ = ['../../baseline/fcn_r18-w8_digit-masks.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/fcn_r18-w16_digit-masks.py',
        checkpoint='work_dirs/fcn_r18-w16_digit-masks/epoch_12.pth',
    ),
]
