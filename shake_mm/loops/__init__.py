"""Loops of the Runner: training that a resume continues exactly."""

from .exact import ExactTrainLoop

__all__ = ['ExactTrainLoop']
