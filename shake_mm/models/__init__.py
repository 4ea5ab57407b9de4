from .backbones import CRDResNet

__all__ = ['CRDResNet']
