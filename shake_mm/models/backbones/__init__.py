from .crd_mobilenet_v2 import CRDMobileNetV2
from .crd_resnet import CRDResNet
from .crd_resnet_v2 import CRDResNetV2
from .crd_shufflenet_v1 import CRDShuffleNetV1
from .crd_shufflenet_v2 import CRDShuffleNetV2
from .crd_vgg import CRDVGG
from .crd_wide_resnet import CRDWideResNet
from .mobilenet_v1 import MobileNetV1
from .staged import StagedBackbone

__all__ = [
    'CRDMobileNetV2',
    'CRDResNet',
    'CRDResNetV2',
    'CRDShuffleNetV1',
    'CRDShuffleNetV2',
    'CRDVGG',
    'CRDWideResNet',
    'MobileNetV1',
    'StagedBackbone',
]
