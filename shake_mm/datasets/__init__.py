from .batched import BatchedViews
from .contrast import ContrastDataset
from .digit_scenes import DigitScenes
from .digits import DigitPairs, Digits
from .garments import GarmentPairs, Garments, GarmentScenes
from .pairs import PairDataset
from .seeded import SeededBatchSampler, SeededDataset
from .views import RandomView, ViewSet

__all__ = [
    'BatchedViews',
    'ContrastDataset',
    'DigitPairs',
    'DigitScenes',
    'Digits',
    'GarmentPairs',
    'GarmentScenes',
    'Garments',
    'PairDataset',
    'RandomView',
    'SeededBatchSampler',
    'SeededDataset',
    'ViewSet',
]
