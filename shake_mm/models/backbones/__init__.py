from .cifar_resnet import CRDResNet

__all__ = ['CRDResNet']
