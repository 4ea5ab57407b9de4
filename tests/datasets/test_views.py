"""Views one by one, against mmcv's padding and plain slices."""

import mmcv
import numpy as np
import pytest

from shake_mm.datasets import RandomView, ViewSet
from shake_mm.datasets.views import views_in
from shake_mm.errors import UsageError
from shake_mm.registry import TRANSFORMS

CIFAR = dict(crop_size=32, padding=4, flip_prob=0.5)
ODD = dict(crop_size=(5, 4), padding=(2, 1, 0, 3), pad_val=7, flip_prob=0.3)


def all_views(image, crop_size, padding, flip_prob, pad_val=0):
    """The views of an image in their order, by mmcv's padding."""
    height, width = (crop_size, crop_size) if isinstance(crop_size, int) else crop_size
    padded = mmcv.impad(image, padding=padding, pad_val=pad_val)
    for top in range(padded.shape[0] - height + 1):
        for left in range(padded.shape[1] - width + 1):
            crop = padded[top : top + height, left : left + width]
            yield crop
            if flip_prob:
                yield mmcv.imflip(crop)


@pytest.fixture
def image():
    return lambda *size: np.random.default_rng(0).integers(256, size=(*size, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ('size', 'settings', 'number'),
    [((32, 32), CIFAR, 162), ((6, 7), ODD, 72), ((6, 7), {**ODD, 'flip_prob': 0}, 36)],
)
def test_every_view(image, size, settings, number):
    views, image = ViewSet(size, **settings), image(*size)
    wanted = list(all_views(image, **settings))
    assert len(views) == len(wanted) == number
    for view, crop in enumerate(wanted):
        np.testing.assert_array_equal(views.show(image, view), crop)


def test_draws_reach_every_view_as_often_as_they_should():
    views = ViewSet((6, 7), **ODD)
    drawn = views.pick(np.random.default_rng(0).random((72000, 3)))
    counts = np.bincount(drawn, minlength=72).reshape(-1, 2)
    assert len(counts) == 36
    np.testing.assert_allclose(counts.sum(1), 2000, atol=5 * 2000**0.5)
    np.testing.assert_allclose(counts[:, 1], 600, atol=5 * 600**0.5)


def test_the_ends_of_the_draws():
    views = ViewSet((32, 32), **CIFAR)
    assert views.pick(np.array([[0, 0, 0.4999], [1 - 2**-53, 1 - 2**-53, 0.5]])).tolist() == [1, 160]


def test_random_view_draws_as_mmpretrain_does(image):
    """Same marginal distributions as RandomCrop and RandomFlip have, and the view that it names."""
    image = image(6, 7)
    transform = TRANSFORMS.build(dict(type='shake_mm.RandomView', **ODD))
    upstream = [
        TRANSFORMS.build(dict(type='mmpretrain.RandomCrop', crop_size=(5, 4), padding=(2, 1, 0, 3), pad_val=7)),
        TRANSFORMS.build(dict(type='mmpretrain.RandomFlip', prob=0.3)),
    ]
    wanted = [crop.tobytes() for crop in all_views(image, **ODD)]
    np.random.seed(0)
    ours, theirs = np.zeros(72), np.zeros(72)
    for _ in range(4000):
        shown = transform(dict(img=image))
        assert shown['img'].tobytes() == wanted[shown['view_idx']] and shown['img_shape'] == (5, 4)
        ours[shown['view_idx']] += 1
        results = dict(img=image)
        for step in upstream:
            results = step(results)
        theirs[wanted.index(results['img'].tobytes())] += 1
    for counts in (ours, theirs):
        np.testing.assert_allclose(counts[::2], 4000 * 0.7 / 36, atol=5 * (4000 * 0.7 / 36) ** 0.5)
        np.testing.assert_allclose(counts[1::2], 4000 * 0.3 / 36, atol=5 * (4000 * 0.3 / 36) ** 0.5)


def test_pipelines_that_are_views():
    crop, flip, pack = dict(type='RandomCrop', crop_size=32, padding=4), dict(type='RandomFlip', prob=0.5), 'PackInputs'
    load, pack = dict(type='LoadImageFromFile'), dict(type='mmpretrain.PackInputs')
    assert views_in([load, crop, {**flip, 'direction': 'horizontal'}, pack]) == ([load], CIFAR)
    assert views_in([crop, pack]) == ([], dict(crop_size=32, padding=4))
    assert views_in([dict(type='RandomCrop', crop_size=8), pack]) == ([], dict(crop_size=8, padding=0))
    assert views_in([dict(type='shake_mm.RandomView', **CIFAR), pack]) == ([], CIFAR)
    assert views_in([pack]) == ([], {})


@pytest.mark.parametrize(
    'extra',
    [
        dict(type='RandomErasing'),
        dict(type='RandomFlip', prob=0.5, direction='vertical'),
        dict(type='RandomCrop', crop_size=8, pad_if_needed=True),
        dict(type='mmpretrain.RandomResizedCrop', scale=32),
    ],
)
def test_pipelines_that_are_not(extra):
    with pytest.raises(UsageError, match=f'{extra["type"].rpartition(".")[2]}.*take it out'):
        views_in([extra, dict(type='PackInputs')])
    with pytest.raises(UsageError, match='RandomFlip.*take it out'):
        views_in([dict(type='RandomFlip', prob=0.5)] * 2)


@pytest.mark.parametrize(('settings', 'words'), [(dict(crop_size=40), 'larger'), (dict(flip_prob=2), 'probability')])
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(UsageError, match=words):
        ViewSet((32, 32), **settings)


def test_random_view_keeps_sets_apart_by_size(image):
    transform = RandomView(crop_size=4)
    assert len(transform.views((6, 6))) == 9 and len(transform.views((5, 6))) == 6
