"""Optimizers that treat the parts of an objective differently."""

from .two_momenta import TwoMomentaOptimWrapper, TwoMomentaSGD

__all__ = ['TwoMomentaOptimWrapper', 'TwoMomentaSGD']
