"""Connectors: small trained modules that bring one network's feature to the shape of another's."""

from .conv_regressor import ConvRegressor
from .cross_head import CrossHead
from .embedding import Embedding
from .factor import ParaphraserDecoder, ParaphraserEncoder, Translator
from .logit_norm import LogitNorm
from .review import ReviewFusion
from .vid_regressor import VIDRegressor

__all__ = [
    'ConvRegressor',
    'CrossHead',
    'Embedding',
    'LogitNorm',
    'ParaphraserDecoder',
    'ParaphraserEncoder',
    'ReviewFusion',
    'Translator',
    'VIDRegressor',
]
