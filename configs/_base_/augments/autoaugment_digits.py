# The policy for CIFAR on digits, whose mean fills what moves into the image. (Of 16x16 pixels mmcv, as Pillow, can
# equalize a channel only where a single one is the brightest.)
_base_ = './autoaugment_cifar.py'

augment = [
    dict(
        type='AutoAugment',
        policies=[
            [dict(step, pad_val=(60, 60, 60)) if 'pad_val' in step else step for step in pair]
            for pair in _base_.augment[0].policies
        ],
    )
]
