"""Losses: each a pure function and a thin registered module of the same meaning."""

from .ab import ABLoss, activation_boundary
from .alpha_div import AlphaDivLoss, alpha_div
from .at import ATLoss, attention_map, attention_transfer
from .bernoulli_kl import BernoulliKLLoss, bernoulli_kl
from .cc import CCLoss, correlation_congruence
from .crd import CRDLoss, crd_nce
from .dense_kl import DenseKLLoss, dense_kl
from .dkd import DKDLoss, decoupled_kd
from .fitnets import FitNetsLoss, feature_regression
from .ft import FTLoss, factor_transfer
from .hard_label import HardLabelLoss, hard_label
from .hcl import HCLLoss, hcl
from .kl_div import KLDivLoss, kl_div
from .nst import NSTLoss, neuron_selectivity
from .pixel_kl import PixelKLLoss, pixel_kl
from .pkt import PKTLoss, probabilistic_transfer
from .rkd import RKDLoss, relational_kd
from .soft_ce import SoftCELoss, soft_ce
from .sp import SPLoss, similarity_preserving
from .stagewise import StagewiseLoss
from .vid import VIDLoss, variational_information

__all__ = [
    'ABLoss',
    'ATLoss',
    'AlphaDivLoss',
    'BernoulliKLLoss',
    'CCLoss',
    'CRDLoss',
    'DKDLoss',
    'DenseKLLoss',
    'FTLoss',
    'FitNetsLoss',
    'HCLLoss',
    'HardLabelLoss',
    'KLDivLoss',
    'NSTLoss',
    'PKTLoss',
    'PixelKLLoss',
    'RKDLoss',
    'SPLoss',
    'SoftCELoss',
    'StagewiseLoss',
    'VIDLoss',
    'activation_boundary',
    'alpha_div',
    'attention_map',
    'attention_transfer',
    'bernoulli_kl',
    'correlation_congruence',
    'crd_nce',
    'decoupled_kd',
    'dense_kl',
    'factor_transfer',
    'feature_regression',
    'hard_label',
    'hcl',
    'kl_div',
    'neuron_selectivity',
    'pixel_kl',
    'probabilistic_transfer',
    'relational_kd',
    'similarity_preserving',
    'soft_ce',
    'variational_information',
]
