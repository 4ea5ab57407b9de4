"""Connectors: small trained modules that bring one network's feature to the shape of another's."""

from .conv_regressor import ConvRegressor
from .embedding import Embedding
from .factor import ParaphraserDecoder, ParaphraserEncoder, Translator
from .logit_norm import LogitNorm
from .resize_map import ResizeMap
from .review import ReviewFusion
from .vid_regressor import VIDRegressor

__all__ = [
    'ConvRegressor',
    'Embedding',
    'LogitNorm',
    'ParaphraserDecoder',
    'ParaphraserEncoder',
    'ResizeMap',
    'ReviewFusion',
    'Translator',
    'VIDRegressor',
]
