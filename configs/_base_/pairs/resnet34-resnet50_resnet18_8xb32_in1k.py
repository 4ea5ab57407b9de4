# Two teachers, which mmpretrain's zoo has; the paper does not name its second one.
_base_ = ['./resnet34_resnet18_8xb32_in1k.py']

teachers = [
    *_base_.teachers,
    dict(
        config='mmpretrain::resnet/resnet50_8xb32_in1k.py',
        checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
        'resnet50_8xb32_in1k_20210831-ea4938fc.pth',
    ),
]
