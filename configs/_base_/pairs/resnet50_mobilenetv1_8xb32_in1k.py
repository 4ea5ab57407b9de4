# The student is MobileNet (v1); data and schedule (100 epochs, batch 256, as the paper) and the teacher's weights are
# mmpretrain's.
_base_ = ['../../baseline/mobilenetv1_8xb32_in1k.py', '../distill.py']

teachers = [
    dict(
        config='mmpretrain::resnet/resnet50_8xb32_in1k.py',
        checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
        'resnet50_8xb32_in1k_20210831-ea4938fc.pth',
    ),
]
# Of the training set, for methods that contrast samples.
contrast = dict(num_samples=1281167, negatives=16384)
