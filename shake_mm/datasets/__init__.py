from .batched import BatchedViews
from .contrast import ContrastDataset
from .digit_masks import DigitMasks
from .digit_scenes import DigitScenes
from .digits import DigitPairs, Digits
from .seeded import SeededBatchSampler, SeededDataset
from .views import RandomView, ViewSet

__all__ = [
    'BatchedViews',
    'ContrastDataset',
    'DigitMasks',
    'DigitPairs',
    'DigitScenes',
    'Digits',
    'RandomView',
    'SeededBatchSampler',
    'SeededDataset',
    'ViewSet',
]
