"""Random resized crops of whole batches, against mmpretrain's own transforms."""

import mmcv
import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS

from shake_mm.datasets import BatchedCrops
from shake_mm.datasets.batched_crops import CropBoxes
from shake_mm.datasets.seeded import Draw
from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS


@pytest.fixture(scope='module')
def sources():
    """Images of 24x40, colored so that channels, rows and columns differ."""
    generator = np.random.default_rng(0)
    noise = generator.integers(256, size=(5, 24, 40, 3), dtype=np.uint8)
    return [dict(img=mmcv.imrescale(image, 1.0), gt_label=i) for i, image in enumerate(noise)]


def theirs(**settings):
    return TRANSFORMS.build(dict(type='mmpretrain.RandomResizedCrop', **settings))


@pytest.mark.parametrize('scale', [(24, 40), (7, 30), 32, 1])
def test_crops_are_resized_as_by_mmpretrain(sources, scale):
    """Of every size, at every border, larger and smaller, and mirrored."""
    dataset, transform = BatchedCrops(sources, scale, device='cpu'), theirs(scale=scale)
    boxes = dataset.boxes.pick(np.random.default_rng(1).random((60, dataset.boxes.draws)))
    boxes = np.concatenate([boxes, [[0, 0, 24, 40], [23, 39, 1, 1], [0, 0, 1, 40], [12, 20, 12, 20]]])
    which, mirrored = np.arange(len(boxes)) % 5, np.arange(len(boxes)) % 2 == 1
    batch = dataset.batch(which.tolist(), boxes, mirrored)
    for inputs, position, box, flip in zip(batch['inputs'], which, boxes, mirrored):
        transform.rand_crop_params = lambda img, box=box: tuple(box)
        wanted = transform.transform(dict(img=sources[position]['img']))['img']
        wanted = wanted[:, ::-1] if flip else wanted
        off = np.abs(inputs.permute(1, 2, 0).numpy().astype(int) - wanted.astype(int))
        assert off.max() <= 1 and off.mean() < 0.3
    assert [sample.gt_label.item() for sample in batch['data_samples']] == which.tolist()


@pytest.mark.parametrize(
    ('size', 'settings'),
    [
        ((32, 32), {}),
        ((24, 40), dict(crop_ratio_range=(0.5, 1.0), aspect_ratio_range=(0.5, 3.0))),
        ((30, 8), dict(crop_ratio_range=(0.9, 1.0), max_attempts=1)),  # of which few fit
    ],
)
def test_boxes_are_distributed_as_mmpretrain_s(size, settings):
    number, boxes = 6000, CropBoxes(size, **settings)
    ours = boxes.pick(np.random.default_rng(0).random((number, boxes.draws)))
    transform, image = theirs(scale=8, **settings), np.zeros((*size, 3), np.uint8)
    np.random.seed(0)
    wanted = np.array([transform.rand_crop_params(image) for _ in range(number)])
    for column in (*range(4), 'area'):
        one, other = (b[:, 2] * b[:, 3] if column == 'area' else b[:, column] for b in (ours, wanted))
        values = np.union1d(one, other)
        distance = np.abs(
            np.searchsorted(np.sort(one), values, 'right') - np.searchsorted(np.sort(other), values, 'right')
        )
        assert distance.max() / number < 1.95 * (2 / number) ** 0.5, column  # Kolmogorov and Smirnov, one in a thousand
    assert (ours[:, :2] >= 0).all() and (ours[:, :2] + ours[:, 2:] <= size).all() and (ours[:, 2:] > 0).all()


def test_boxes_are_mmpretrain_s_for_the_same_numbers(monkeypatch):
    """The same attempts, the same fallback: its draws are ours."""
    for size, settings in (((32, 32), {}), ((30, 8), dict(crop_ratio_range=(0.5, 1.0), max_attempts=3))):
        boxes = CropBoxes(size, **settings)
        draws = np.random.default_rng(2).random((200, boxes.draws))
        transform, image = theirs(scale=8, **settings), np.zeros((*size, 3), np.uint8)
        for own, found in zip(draws, boxes.pick(draws)):
            numbers, places = iter(own[:-2]), iter(own[-2:])
            monkeypatch.setattr(np.random, 'uniform', lambda a, b, n=numbers: a + next(n) * (b - a))
            monkeypatch.setattr(np.random, 'randint', lambda a, b, n=places: int(a + next(n) * (b - a)))
            assert found.tolist() == list(transform.rand_crop_params(image))


def test_draws_are_of_seed_epoch_and_position_alone(sources):
    dataset = BatchedCrops(sources, 12, device='cpu', flip_prob=0.5, cutout=dict(shape=3, prob=0.5))
    alone = [dataset.__getitems__([Draw(3, 1, i)])['inputs'][0] for i in range(5)]
    joint = dataset.__getitems__([Draw(3, 1, i) for i in (4, 2, 0, 1, 3)])['inputs']
    assert all(torch.equal(joint[place], alone[i]) for place, i in enumerate((4, 2, 0, 1, 3)))
    others = [dataset.__getitems__([Draw(*key, 0)])['inputs'][0] for key in ((3, 2), (4, 1))]
    assert not any(torch.equal(other, alone[0]) for other in others)
    torch.manual_seed(0)
    first = dataset.__getitems__([0, 1])['inputs']
    assert not torch.equal(first, dataset.__getitems__([0, 1])['inputs'])
    torch.manual_seed(0)
    assert torch.equal(first, dataset.__getitems__([0, 1])['inputs'])


def test_half_of_them_are_mirrored(sources):
    whole = dict(crop_ratio_range=(1, 1), aspect_ratio_range=(40 / 24, 40 / 24))
    dataset = BatchedCrops(sources[:1], (24, 40), device='cpu', flip_prob=0.3, **whole)
    batch = torch.cat([dataset.__getitems__([0] * 100)['inputs'] for _ in range(10)])
    image = torch.from_numpy(sources[0]['img']).permute(2, 0, 1)
    mirrored = [torch.equal(inputs, image.flip(-1)) for inputs in batch]
    assert all(flip or torch.equal(inputs, image) for inputs, flip in zip(batch, mirrored))
    assert abs(sum(mirrored) - 300) < 5 * (1000 * 0.3 * 0.7) ** 0.5


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        (dict(scale=0), 'scale=0 is no size'),
        (dict(flip_prob=2), 'flip_prob=2 is not a probability'),
        (dict(aspect_ratio_range=(0, 1)), r'aspect_ratio_range=\(0, 1\) is no range'),
        (dict(max_attempts=0), 'max_attempts=0 must be a number of attempts'),
    ],
)
def test_what_makes_no_crop_is_refused(sources, wrong, words):
    with pytest.raises(UsageError, match=words):
        BatchedCrops(sources, **{'scale': 8, 'device': 'cpu', **wrong})


def test_gray_images_have_one_channel():
    dataset = DATASETS.build(
        dict(type='shake_mm.BatchedCrops', dataset=[dict(img=np.full((9, 9), 7, np.uint8), gt_label=0)], scale=5)
    )
    assert (dataset[0]['inputs'] == 7).all() and dataset[0]['inputs'].shape == (1, 5, 5)
