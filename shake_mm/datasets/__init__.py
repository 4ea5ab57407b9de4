"""Data sets, samplers and transforms. Those of another package's classes are imported when one is asked for."""

from ..imports import lazy_parts
from .batched import BatchedViews
from .batched_crops import BatchedCrops
from .contrast import ContrastDataset
from .seeded import SeededBatchSampler, SeededDataset
from .views import RandomView, ViewSet

__getattr__ = lazy_parts(
    __name__,
    {
        'digit_masks': ('DigitMasks',),
        'digits': ('DigitPairs', 'Digits'),
        'digit_scenes': ('DigitScenes',),
        'garments': ('GarmentPairs', 'Garments'),
        'garment_scenes': ('GarmentScenes',),
        'pairs': ('PairDataset',),
    },
    needs={
        'digit_masks': 'mmcv',
        'digits': 'mmpretrain',
        'digit_scenes': 'mmdet',
        'garments': 'mmpretrain',
        'garment_scenes': 'mmdet',
        'pairs': 'mmpretrain',
    },
)

__all__ = [
    'BatchedCrops',
    'BatchedViews',
    'ContrastDataset',
    'DigitMasks',
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
