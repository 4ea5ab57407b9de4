from .backbones import (
    CRDVGG,
    CRDMobileNetV2,
    CRDResNet,
    CRDResNetV2,
    CRDShuffleNetV1,
    CRDShuffleNetV2,
    CRDWideResNet,
    MobileNetV1,
    StagedBackbone,
)
from .crd_layout import crd_archs, crd_config, crd_to_mmpretrain
from .plain_model import PlainModel
from .shadow_neck import ShadowNeck

__all__ = [
    'CRDMobileNetV2',
    'CRDResNet',
    'CRDResNetV2',
    'CRDShuffleNetV1',
    'CRDShuffleNetV2',
    'CRDVGG',
    'CRDWideResNet',
    'MobileNetV1',
    'PlainModel',
    'ShadowNeck',
    'StagedBackbone',
    'crd_archs',
    'crd_config',
    'crd_to_mmpretrain',
]
