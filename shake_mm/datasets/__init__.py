from .contrast import ContrastDataset
from .digit_scenes import DigitScenes
from .digits import DigitPairs, Digits
from .seeded import SeededBatchSampler, SeededDataset

__all__ = ['ContrastDataset', 'DigitPairs', 'DigitScenes', 'Digits', 'SeededBatchSampler', 'SeededDataset']
