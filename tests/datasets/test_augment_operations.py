"""Operations of AutoAugment and RandAugment on whole batches, against mmpretrain's own transforms."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS

from shake_mm.datasets.augment import Augment
from shake_mm.errors import UsageError

PAD = (7, 120, 240)
BLENDS = ('ColorTransform', 'Contrast', 'Brightness', 'Sharpness')
WARPS = ('Rotate', 'Shear', 'Translate')
EXACT = ('AutoContrast', 'Equalize', 'Invert', 'Posterize', 'Solarize', 'SolarizeAdd', 'Brightness')
"""Those equal in every value. Of the others, up to 15 % are 1 off: each cv2 rounds products and sums in its way."""
OPERATIONS = [
    dict(type='AutoContrast'),
    dict(type='Equalize'),
    dict(type='Invert'),
    *(dict(type='Posterize', bits=bits) for bits in (0, 1, 3.2, 8)),
    *(dict(type='Solarize', thr=thr) for thr in (0, 85.3, 128, 256)),
    *(dict(type='SolarizeAdd', magnitude=more, thr=thr) for more, thr in ((0, 128), (55.5, 128), (110, 99.5))),
    *(dict(type=kind, magnitude=magnitude) for kind in BLENDS for magnitude in (-0.9, -0.31, 0, 0.4, 0.9)),
    *(dict(type='Shear', magnitude=0.23, direction=direction) for direction in ('horizontal', 'vertical')),
    *(dict(type='Translate', magnitude=0.4, direction=direction) for direction in ('horizontal', 'vertical')),
    dict(type='Shear', magnitude=-0.11, interpolation='nearest', pad_val=30),
    dict(type='Shear', magnitude=0.3, interpolation='area', direction='vertical'),
    dict(type='Translate', magnitude=-0.23, interpolation='bilinear', pad_val=30),
    dict(type='Rotate', angle=-30, pad_val=128),
    dict(type='Rotate', angle=17.3, interpolation='bilinear', center=(3.0, 9.5), scale=1.3),
    dict(type='Rotate', angle=-4.0, interpolation='bicubic'),
]


def augmented(config, images, draws=None):
    augment = Augment(config)
    draws = np.zeros((len(images), augment.draws)) if draws is None else draws
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    return augment(batch, draws).permute(0, 2, 3, 1).numpy()


def off(images, wanted):
    return np.abs(images.astype(int) - wanted.astype(int))


def assert_close(found, wanted, step):
    """Up to 1; before version 5 cv2 rounds places to 1/32 of a pixel, by which noise changes by up to 8."""
    distance = off(found, wanted)
    if step['type'] in EXACT:
        assert distance.max() == 0
    elif step['type'] not in WARPS:
        assert distance.max() <= 1 and distance.mean() < 0.15
    elif int(cv2.__version__.split('.')[0]) >= 5:
        assert distance.max() <= 1 and distance.mean() < 0.02
    elif step.get('interpolation', 'bicubic' if step['type'] == 'Shear' else 'nearest') == 'nearest':
        assert (distance > 0).mean() < 0.04  # where a place is in the middle of two
    else:
        assert distance.max() <= 8


@pytest.mark.parametrize('step', OPERATIONS, ids=lambda step: '-'.join(map(str, step.values())))
def test_an_operation_is_mmpretrain_s(images, step):
    certain = dict(prob=1.0)
    if step['type'] in (*BLENDS, *WARPS):
        certain['random_negative_prob'] = 0.0
    if step['type'] in WARPS:
        certain['pad_val'] = PAD
    step = {**certain, **step}
    transform = TRANSFORMS.build({**step, 'type': f'mmpretrain.{step["type"]}'})
    wanted = np.stack([transform(dict(img=image.copy()))['img'] for image in images])
    found = augmented(dict(type='AutoAugment', policies=[[step]]), images)
    assert_close(found, wanted, step)
    assert step['type'] == 'AutoContrast' or (found == images).all() == (wanted == images).all()


@pytest.mark.parametrize('size', [(16, 16), (33, 20)])
def test_images_of_other_sizes(size):
    images = np.random.default_rng(1).integers(256, size=(5, *size, 3), dtype=np.uint8)
    for kind, key in (('Equalize', None), ('Sharpness', 'magnitude'), ('Rotate', 'angle'), ('Translate', 'magnitude')):
        step = dict(type=kind, prob=1.0, **({} if key is None else {key: 0.3, 'random_negative_prob': 0.0}))
        transform = TRANSFORMS.build({**step, 'type': f'mmpretrain.{kind}'})
        wanted = np.stack([transform(dict(img=image.copy()))['img'] for image in images])
        assert_close(augmented(dict(type='AutoAugment', policies=[[step]]), images), wanted, step)


@pytest.mark.parametrize('shape', [6, (3, 9), None])
def test_holes_are_mmcv_s_for_the_same_numbers(images, monkeypatch, shape):
    step = dict(type='Cutout', shape=shape, pad_val=list(PAD), prob=0.7)
    if shape is None:
        step |= dict(magnitude_range=(0, 13.0), magnitude_level=6)
    config = dict(type='AutoAugment', policies=[[step]])
    draws = np.random.default_rng(3).random((len(images), Augment(config).draws))
    transform = TRANSFORMS.build({**step, 'type': 'mmpretrain.Cutout', 'prob': 1.0})
    for image, row, found in zip(images, draws, augmented(config, images, draws)):
        places = iter(row[4:])
        monkeypatch.setattr(np.random, 'uniform', lambda side, p=places: side * next(p))
        wanted = transform(dict(img=image.copy()))['img'] if row[1] <= 0.7 else image
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ('step', 'words'),
    [
        (dict(type='GaussianBlur', radius=1), 'AutoAugment has a GaussianBlur, which is not made for batches: take it'),
        (dict(type='RandomFlip', prob=0.5), 'AutoAugment has a RandomFlip, which is not made for batches'),
        (
            dict(type='Shear', magnitude=0.1, interpolation='lanczos'),
            "interpolation='lanczos' of Shear is not made for batches: choose 'nearest', 'bilinear', 'area', 'bicubic'",
        ),
        (dict(type='Rotate', angle=3, pad_val=(1, 2)), r'pad_val=\(1, 2\) of Rotate has 2 numbers: give one, or three'),
        (dict(type='Cutout', shape=3, pad_val=[1]), r'pad_val=\(1,\) of Cutout has 1 numbers'),
    ],
)
def test_what_is_not_made_for_batches_is_refused(step, words):
    with pytest.raises(UsageError, match=words):
        Augment(dict(type='AutoAugment', policies=[[dict(type='Invert')], [step]]))
