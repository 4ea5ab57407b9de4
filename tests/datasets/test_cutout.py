"""Holes of whole batches, against mmcv's."""

import mmcv
import numpy as np
import pytest
import torch

from shake_mm.datasets import BatchedViews
from shake_mm.datasets.cutout import Cutout
from shake_mm.errors import UsageError


@pytest.mark.parametrize(('shape', 'pad_val'), [(4, 128), ((3, 7), (1, 2, 3)), (40, 0), (1, 255)])
def test_holes_are_mmcv_s_for_the_same_numbers(monkeypatch, shape, pad_val):
    cutout, rng = Cutout(shape, pad_val, prob=0.7), np.random.default_rng(0)
    images = rng.integers(256, size=(300, 11, 17, 3), dtype=np.uint8)
    draws = rng.random((300, 3))
    found = cutout(torch.from_numpy(images).permute(0, 3, 1, 2), draws).permute(0, 2, 3, 1).numpy()
    for image, (whether, *place), ours in zip(images, draws, found):
        numbers = iter(place)
        monkeypatch.setattr(np.random, 'uniform', lambda side, n=numbers: side * next(n))
        wanted = mmcv.cutout(image, shape, pad_val) if whether < 0.7 else image
        np.testing.assert_array_equal(ours, wanted)


def test_views_have_holes_and_the_same_draws_as_without():
    items = [dict(img=np.full((8, 8, 3), i + 1, np.uint8), gt_label=i) for i in range(40)]
    plain = BatchedViews(items, device='cpu', crop_size=8, padding=1, flip_prob=0.5)
    holes = BatchedViews(
        items, device='cpu', cutout=dict(shape=2, pad_val=200, prob=1), crop_size=8, padding=1, flip_prob=0.5
    )
    batch = holes.__getitems__(list(range(40)))
    assert ((batch['inputs'] == 200).sum((1, 2, 3)) >= 3).all()
    assert (plain.__getitems__(list(range(40)))['inputs'] < 200).all()


@pytest.mark.parametrize(('wrong', 'key'), [(dict(shape=0), 'shape=0'), (dict(shape=2, prob=-1), 'prob=-1')])
def test_what_is_no_hole_is_refused(wrong, key):
    with pytest.raises(UsageError, match=f'cutout.{key} is'):
        Cutout(**wrong)
