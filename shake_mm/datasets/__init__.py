from .contrast import ContrastDataset
from .digits import DigitPairs, Digits

__all__ = ['ContrastDataset', 'DigitPairs', 'Digits']
