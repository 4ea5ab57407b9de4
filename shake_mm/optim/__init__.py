"""Optimizers that treat the parts of an objective differently."""

from .by_loss import OptimizersByLoss, OptimWrapperByLoss
from .two_momenta import TwoMomentaOptimWrapper, TwoMomentaSGD

__all__ = ['OptimWrapperByLoss', 'OptimizersByLoss', 'TwoMomentaOptimWrapper', 'TwoMomentaSGD']
