# Student, data and schedule (100 epochs, batch 256, as the paper) and the teacher's weights: mmpretrain's.
_base_ = ['mmpretrain::resnet/resnet18_8xb32_in1k.py', '../distill.py']

teachers = [
    dict(
        config='mmpretrain::resnet/resnet34_8xb32_in1k.py',
        checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
        'resnet34_8xb32_in1k_20210831-f257d4e6.pth',
    ),
]
# Of the training set, for methods that contrast samples.
contrast = dict(num_samples=1281167, negatives=16384)
