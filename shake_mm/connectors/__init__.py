"""Connectors: small trained modules that bring one network's feature to the shape of another's."""

from .conv_regressor import ConvRegressor
from .cross_attention import CrossAttentionProjector, TeacherStages
from .cross_head import CrossHead
from .embedding import Embedding
from .ensemble import BranchGate, Ensemble
from .factor import ParaphraserDecoder, ParaphraserEncoder, Translator
from .feature_diffusion import FeatureDiffusion, LinearAutoencoder
from .frequency_prompt import FrequencyPrompt, PromptedHead, PromptedPyramid
from .logit_norm import LogitNorm
from .map_transfer import MapTransfer
from .margin_relu import MarginReLU
from .orthogonal import OrthogonalProjection
from .project_map import ProjectMap
from .receptive_tokens import MaskedPyramid, ReceptiveTokens
from .regional import RegionalLogits
from .resize_map import ResizeMap
from .review import ReviewFusion
from .shared_queries import RandomQueries, TeacherQueries
from .token_map import TokenMap
from .vid_regressor import VIDRegressor

__all__ = [
    'RandomQueries',
    'RegionalLogits',
    'BranchGate',
    'Ensemble',
    'ConvRegressor',
    'CrossAttentionProjector',
    'CrossHead',
    'Embedding',
    'FeatureDiffusion',
    'FrequencyPrompt',
    'LinearAutoencoder',
    'LogitNorm',
    'MapTransfer',
    'MaskedPyramid',
    'MarginReLU',
    'OrthogonalProjection',
    'ParaphraserDecoder',
    'ParaphraserEncoder',
    'ProjectMap',
    'PromptedHead',
    'PromptedPyramid',
    'ReceptiveTokens',
    'ResizeMap',
    'ReviewFusion',
    'TeacherQueries',
    'TeacherStages',
    'TokenMap',
    'Translator',
    'VIDRegressor',
]
