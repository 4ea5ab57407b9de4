# Two teachers, which mmpretrain's zoo has; the paper does not name its second one.
_base_ = ['./resnet50_mobilenetv1_8xb32_in1k.py']

teachers = [
    *_base_.teachers,
    dict(
        config='mmpretrain::resnet/resnet101_8xb32_in1k.py',
        checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
        'resnet101_8xb32_in1k_20210831-539c63f8.pth',
    ),
]
