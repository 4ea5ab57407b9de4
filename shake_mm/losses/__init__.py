"""Losses: each a pure function and a thin registered module of the same meaning."""

from .ab import ABLoss, activation_boundary
from .adversarial import AdversarialLoss, adversarial
from .alpha_div import AlphaDivLoss, alpha_div
from .assigned_query import AssignedQueryLoss, assigned_query
from .at import ATLoss, attention_map, attention_transfer
from .bernoulli_kl import BernoulliKLLoss, bernoulli_kl
from .box_distribution import (
    LocalizationDistillationLoss,
    ValuableLocalizationLoss,
    localization_distillation,
)
from .cc import CCLoss, correlation_congruence
from .cosine import CosineLoss, cosine
from .crd import CRDLoss, crd_nce
from .ctkd import CTKDLoss, curriculum_kd
from .dense_box import DenseBoxLoss, box_distance
from .dense_kl import DenseKLLoss, dense_kl
from .dkd import DKDLoss, decoupled_kd
from .fgd import FGDLoss, focal_distillation
from .fitnets import FitNetsLoss, feature_regression
from .freekd import FreeKDLoss, MaskSimilarityLoss, frequency_distance, mask_similarity
from .ft import FTLoss, factor_transfer
from .hard_label import HardLabelLoss, hard_label
from .hcl import HCLLoss, hcl
from .kl_div import KLDivLoss, kl_div
from .mask_kl import MaskKLLoss, mask_kl
from .maskd import MasKDLoss, masked_distance, token_masks
from .matched_query import MatchedQueryLoss, matched_query
from .mlkd import MLKDLoss, batch_alignment, class_alignment, instance_alignment
from .nst import NSTLoss, neuron_selectivity
from .ofd import OFDLoss, partial_l2
from .own_loss import OwnLoss
from .peer_attention import PeerAttentionLoss, peer_attention
from .pixel_kl import PixelKLLoss, pixel_kl
from .pkt import PKTLoss, probabilistic_transfer
from .places import Places
from .positive_prior import PositivePriorLoss, positive_prior
from .query_box import QueryBoxLoss, query_box
from .query_kl import QueryKLLoss, query_kl
from .rkd import RKDLoss, relational_kd
from .scalekd import ScaleKDLoss, feature_mimicking
from .sdd import SDDLoss, scale_decoupled
from .soft_ce import SoftCELoss, soft_ce
from .soft_quality_focal import SoftQualityFocalLoss, soft_quality_focal
from .sp import SPLoss, similarity_preserving
from .stagewise import StagewiseLoss
from .target_aware import TargetAwareLoss, query_quality, target_aware
from .vid import VIDLoss, variational_information
from .wttm import WTTMLoss, transformed_matching

__all__ = [
    'SDDLoss',
    'scale_decoupled',
    'AdversarialLoss',
    'PeerAttentionLoss',
    'adversarial',
    'peer_attention',
    'CTKDLoss',
    'MLKDLoss',
    'OFDLoss',
    'WTTMLoss',
    'batch_alignment',
    'class_alignment',
    'curriculum_kd',
    'instance_alignment',
    'partial_l2',
    'transformed_matching',
    'ABLoss',
    'AssignedQueryLoss',
    'MatchedQueryLoss',
    'QueryBoxLoss',
    'QueryKLLoss',
    'TargetAwareLoss',
    'assigned_query',
    'matched_query',
    'query_box',
    'query_kl',
    'query_quality',
    'target_aware',
    'ATLoss',
    'AlphaDivLoss',
    'BernoulliKLLoss',
    'CCLoss',
    'CRDLoss',
    'CosineLoss',
    'DKDLoss',
    'DenseBoxLoss',
    'DenseKLLoss',
    'FGDLoss',
    'FTLoss',
    'FreeKDLoss',
    'FitNetsLoss',
    'HCLLoss',
    'HardLabelLoss',
    'KLDivLoss',
    'LocalizationDistillationLoss',
    'MasKDLoss',
    'MaskKLLoss',
    'MaskSimilarityLoss',
    'NSTLoss',
    'OwnLoss',
    'PKTLoss',
    'PixelKLLoss',
    'Places',
    'PositivePriorLoss',
    'RKDLoss',
    'SPLoss',
    'ScaleKDLoss',
    'SoftCELoss',
    'SoftQualityFocalLoss',
    'StagewiseLoss',
    'VIDLoss',
    'ValuableLocalizationLoss',
    'activation_boundary',
    'alpha_div',
    'attention_map',
    'attention_transfer',
    'bernoulli_kl',
    'box_distance',
    'correlation_congruence',
    'cosine',
    'crd_nce',
    'decoupled_kd',
    'dense_kl',
    'factor_transfer',
    'feature_mimicking',
    'feature_regression',
    'focal_distillation',
    'frequency_distance',
    'hard_label',
    'hcl',
    'kl_div',
    'localization_distillation',
    'mask_kl',
    'mask_similarity',
    'masked_distance',
    'neuron_selectivity',
    'pixel_kl',
    'positive_prior',
    'probabilistic_transfer',
    'relational_kd',
    'similarity_preserving',
    'soft_ce',
    'soft_quality_focal',
    'token_masks',
    'variational_information',
]
