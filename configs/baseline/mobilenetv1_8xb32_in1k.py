# mmpretrain's recipe for ResNets on ImageNet.
_base_ = [
    '../_base_/models/mobilenet_v1.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
]
custom_imports = dict(imports=['shake_mm'], allow_failed_imports=False)
