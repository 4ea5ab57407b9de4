"""Images behind mmengine's, mmpretrain's and our wrappers: kept once, found again, numbered through."""

import numpy as np
import pytest
import torch

from shake_mm.datasets import BatchedViews
from shake_mm.datasets.images import Images
from shake_mm.datasets.wrapped import parts_of, place_of, starts
from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS


def pairs(number, seed, pipeline=()):
    return dict(type='shake_mm.DigitPairs', num_samples=number, seed=seed, pipeline=list(pipeline))


def wrapped(pipeline=()):
    """Of 8 + 6 images: the first ones twice, then half of the others (in an order of its own), class by class."""
    repeated = dict(type='RepeatDataset', times=2, dataset=pairs(8, 0, pipeline))
    fold = dict(type='KFoldDataset', num_splits=2, fold=0, seed=3, dataset=pairs(12, 1, pipeline))
    balanced = dict(type='ClassBalancedDataset', oversample_thr=0.5, dataset=fold)
    return dict(type='ConcatDataset', datasets=[repeated, balanced])


def test_places_are_those_of_the_items():
    dataset = DATASETS.build(wrapped())
    parts = parts_of(dataset)
    assert [len(part) for part in parts] == [8, 6] and starts(dataset) == [0, 16] and len(dataset) > 16 + 6
    for position in range(len(dataset)):
        part, inner = place_of(dataset, position)
        np.testing.assert_array_equal(part[inner]['img'], dataset[position]['img'])
        assert any(part is own for own in parts)


def test_a_batched_set_keeps_what_is_repeated_once():
    dataset = DATASETS.build(wrapped())
    batched = BatchedViews(dataset)
    assert len(batched) == len(dataset) and len(Images(batched)) == 14
    batch = batched.__getitems__(range(len(dataset)))
    items = [dataset[i] for i in range(len(dataset))]
    np.testing.assert_array_equal(batch['inputs'].permute(0, 2, 3, 1).numpy(), [item['img'] for item in items])
    assert [s.gt_label.item() for s in batch['data_samples']] == [item['gt_label'] for item in items]
    numbers = torch.tensor([s.sample_idx for s in batch['data_samples']])
    assert torch.equal(numbers[:8], numbers[8:16]) and set(numbers.tolist()) == set(range(14))


def test_joined_images_say_which_of_all_they_are():
    pack = dict(type='PackInputs', meta_keys=('sample_idx', 'view_idx'))
    dataset = DATASETS.build(wrapped([dict(type='shake_mm.RandomView', flip_prob=0.5), pack]))
    images = Images(dataset)
    images.number()
    pictures = list(images)
    assert len(pictures) == len(images) == 14
    for position in range(len(dataset)):
        item = dataset[position]
        sample = item['data_samples']
        shown = images.views.show(pictures[sample.sample_idx], sample.view_idx)
        np.testing.assert_array_equal(item['inputs'].permute(1, 2, 0).numpy(), shown)


def test_other_wrappers_are_refused_by_name():
    class MultiImageMixDataset:
        def __init__(self, dataset):
            self.dataset = dataset

        def __len__(self):
            return len(self.dataset)

    inner = DATASETS.build(pairs(8, 0))
    for use in (BatchedViews, Images):
        with pytest.raises(UsageError, match='images a MultiImageMixDataset is made of: leave out --batched'):
            use(MultiImageMixDataset(inner))


@pytest.mark.parametrize(('first', 'second'), [((4, 4), (5, 4)), ((5, 4), (4, 4))])
def test_images_of_several_sizes_are_refused(first, second, monkeypatch):
    dataset = DATASETS.build(pairs(2, 0, [dict(type='shake_mm.RandomView')]))
    shapes = {0: (*first, 3), 1: (*second, 3)}
    monkeypatch.setattr(dataset, 'get_data_info', lambda position: dict(img=np.zeros(shapes[position], np.uint8)))
    with pytest.raises(UsageError, match='images of one size, and these are of'):
        list(Images(dataset))


def gray(kind, shape, monkeypatch):
    dataset = DATASETS.build(pairs(2, 0))
    image = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    monkeypatch.setattr(dataset, 'prepare_data', lambda position: dict(img=image, gt_label=position))
    return dataset, image


def test_grey_and_four_channels(monkeypatch):
    for shape in ((6, 6), (6, 6, 1), (6, 6, 4)):
        dataset, image = gray(np.uint8, shape, monkeypatch)
        batch = BatchedViews(dataset, crop_size=6, padding=1).batch([0], [4])
        np.testing.assert_array_equal(batch['inputs'][0].permute(1, 2, 0).numpy(), image.reshape(6, 6, -1))
        assert next(iter(Images(BatchedViews(dataset)))).shape == image.reshape(6, 6, -1).shape


def test_pixels_of_16_bits_and_several_labels_are_refused(monkeypatch):
    with pytest.raises(UsageError, match="of 8 bits, and these are uint16: set color_type='color'"):
        BatchedViews(gray(np.uint16, (6, 6), monkeypatch)[0])
    dataset, image = gray(np.uint8, (6, 6), monkeypatch)
    monkeypatch.setattr(dataset, 'prepare_data', lambda position: dict(img=image, gt_label=[1, 2]))
    with pytest.raises(UsageError, match='some have several, or none: leave out --batched'):
        BatchedViews(dataset)
