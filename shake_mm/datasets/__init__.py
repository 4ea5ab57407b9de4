from .contrast import ContrastDataset
from .digit_scenes import DigitScenes
from .digits import DigitPairs, Digits

__all__ = ['ContrastDataset', 'DigitPairs', 'DigitScenes', 'Digits']
