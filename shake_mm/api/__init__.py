"""Distillation from Python: :func:`distill`, on the engine that the commands run."""

from .distill import distill

__all__ = ['distill']
