# Student and its run: the baseline's. Teacher: the same detector on a wider backbone, trained with its own config.
_base_ = ['../../baseline/fcos_r18-w8_digit-scenes.py', '../distill.py']

teachers = [
    dict(
        config='shake_mm::baseline/fcos_r18-w32_digit-scenes.py',
        checkpoint='work_dirs/fcos_r18-w32_digit-scenes/epoch_12.pth',
    ),
]
