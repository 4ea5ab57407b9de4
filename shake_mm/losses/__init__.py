"""Losses: each a pure function and a thin registered module of the same meaning."""

from .kl_div import KLDivLoss, kl_div

__all__ = ['KLDivLoss', 'kl_div']
