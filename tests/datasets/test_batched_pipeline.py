"""Which pipelines are drawn a batch at a time, and as what."""

from pathlib import Path

import pytest
from mmengine.config import Config

from shake_mm.datasets.augment import Augment
from shake_mm.datasets.batched_pipeline import batches_in
from shake_mm.errors import UsageError

LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='mmpretrain.PackInputs')
CROP, FLIP = dict(type='RandomResizedCrop', scale=32), dict(type='RandomFlip', prob=0.5, direction='horizontal')
HOLE = dict(type='Cutout', shape=8, pad_val=(1, 2, 3), prob=1.0)
CIFAR = dict(type='RandomCrop', crop_size=32, padding=4)
AUTO = dict(type='mmpretrain.AutoAugment', policies='imagenet')
RANDOM = dict(type='RandAugment', policies='timm_increasing', num_policies=2, magnitude_level=9)


def test_pipelines_that_are_known():
    before, drawn = batches_in([LOAD, dict(CROP, crop_ratio_range=(0.2, 1.0), backend='cv2'), FLIP, HOLE, PACK])
    cutout = dict(shape=8, pad_val=(1, 2, 3), prob=1.0)
    assert before == [LOAD]
    assert drawn == dict(
        type='shake_mm.BatchedCrops', scale=32, crop_ratio_range=(0.2, 1.0), flip_prob=0.5, cutout=cutout
    )
    assert batches_in([CROP, PACK]) == ([], dict(type='shake_mm.BatchedCrops', scale=32))
    views = dict(crop_size=32, padding=4, flip_prob=0.5)
    assert batches_in([CIFAR, FLIP, PACK]) == ([], dict(type='shake_mm.BatchedViews', **views))
    assert batches_in([CIFAR, FLIP, HOLE, PACK]) == ([], dict(type='shake_mm.BatchedViews', cutout=cutout, **views))
    assert batches_in([CIFAR, FLIP, AUTO, PACK]) == ([], dict(type='shake_mm.BatchedViews', augment=AUTO, **views))
    assert batches_in([LOAD, CROP, FLIP, RANDOM, HOLE, PACK])[1] == dict(
        type='shake_mm.BatchedCrops', scale=32, flip_prob=0.5, augment=RANDOM, cutout=cutout
    )


@pytest.mark.parametrize('pair', ['resnet14_resnet8_digits100', 'wrn-40-2_wrn-16-2_cifar100'])
def test_our_cells_with_autoaugment_are_known(pair):
    folder = Path(__file__).resolve().parents[2] / 'configs' / 'shake'
    pipeline = Config.fromfile(folder / f'shake-autoaugment_{pair}.py').train_dataloader.dataset.pipeline
    drawn = batches_in(pipeline)[1]
    assert drawn['type'] == 'shake_mm.BatchedViews' and drawn['padding'] > 0
    assert len(Augment(drawn['augment']).policies) == 25


@pytest.mark.parametrize(
    ('pipeline', 'words'),
    [
        ([FLIP, CROP, PACK], 'has a RandomFlip, but batches are made of one RandomResizedCrop'),
        ([CROP, dict(FLIP, direction='vertical'), PACK], 'has a RandomFlip, but'),
        ([CROP, FLIP, FLIP, PACK], 'has a second RandomFlip, but'),
        ([CROP, dict(type='ColorJitter'), PACK], 'has a ColorJitter, but batches'),
        ([HOLE, CROP, PACK], 'has a Cutout, but batches'),
        ([AUTO, CROP, PACK], 'has a AutoAugment, but batches'),
        ([CROP, FLIP, HOLE, RANDOM, PACK], 'has a Cutout, but batches are made of one RandomResizedCrop'),
        ([CIFAR, AUTO, RANDOM, PACK], 'has a AutoAugment, but views are made'),
        ([HOLE, CIFAR, PACK], 'has a Cutout, but views are made'),
        (
            [dict(CROP, interpolation='bicubic'), PACK],
            "resized with interpolation='bilinear' of RandomResizedCrop alone",
        ),
        ([dict(CROP, backend='pillow'), PACK], "resized with backend='cv2'"),
        ([CROP, dict(HOLE, magnitude_std=1), PACK], 'magnitude_std of Cutout is unknown to batches: take it out'),
        ([CROP, dict(type='Cutout', prob=1.0), PACK], 'a Cutout without shape is unknown to batches: give it'),
    ],
)
def test_pipelines_that_are_not(pipeline, words):
    with pytest.raises(UsageError, match=words):
        batches_in(pipeline)
