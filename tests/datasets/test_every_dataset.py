"""What holds for every data set: made by its config, the same for a seed, whole in a worker, strict when built."""

import pickle
from typing import Any, NamedTuple

import mmcv
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader

from shake_mm.datasets.seeded import seed_generators
from shake_mm.errors import UsageError

from ..support.garments import write_garments

PIPELINE = [dict(type='mmpretrain.RandomCrop', crop_size=16, padding=2), dict(type='mmpretrain.PackInputs')]
PLAIN = dict(type='shake_mm.DigitPairs', num_samples=12)
AUGMENT = dict(type='RandAugment', policies='timm_increasing', num_policies=2, magnitude_level=9)
RANDOM = dict(type='shake_mm.DigitPairs', num_samples=12, pipeline=PIPELINE)
SCENES = [
    dict(type='mmdet.LoadImageFromFile', backend_args=None),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.PackDetInputs'),
]

MASKS = [
    dict(type='mmseg.LoadImageFromFile', backend_args=None),
    dict(type='mmseg.LoadAnnotations', backend_args=None),
    dict(type='mmseg.PackSegInputs'),
]


class Case(NamedTuple):
    """A data set.

    Args:
        config: Makes twelve samples.
        wrong: Arguments that are refused, and words of the sentence that says so; None where all are another's.
        labeled: Whether a sample has one label.
    """

    config: dict
    wrong: tuple[dict, str] | None
    labeled: bool = True


CASES = {
    'BatchedCrops': Case(
        dict(type='shake_mm.BatchedCrops', dataset=PLAIN, scale=16, flip_prob=0.5, cutout=dict(shape=4), device='cpu'),
        (dict(crop_ratio_range=(0.5, 0.2)), r'crop_ratio_range=\(0.5, 0.2\) is no range'),
    ),
    'BatchedViews': Case(
        dict(type='shake_mm.BatchedViews', dataset=PLAIN, padding=2, flip_prob=0.5, augment=AUGMENT, device='cpu'),
        (dict(crop_size=30), 'crop_size=.*choose a smaller one'),
    ),
    'ContrastDataset': Case(
        dict(type='shake_mm.ContrastDataset', dataset=RANDOM, negatives=3), (dict(negatives=0), 'negatives=0')
    ),
    'DigitMasks': Case(
        dict(type='shake_mm.DigitMasks', num_images=12, image_size=48, pipeline=MASKS),
        (dict(num_images=0), 'num_images=0'),
        labeled=False,
    ),
    'DigitPairs': Case(RANDOM, (dict(split='test'), "split='test'")),
    'Digits': Case(
        dict(type='shake_mm.Digits', num_samples=12, image_size=16, pipeline=PIPELINE),
        (dict(num_samples=5000), 'num_samples=5000'),
    ),
    'DigitScenes': Case(
        dict(type='shake_mm.DigitScenes', num_images=12, image_size=48, pipeline=SCENES),
        (dict(num_images=0), 'num_images=0'),
        labeled=False,
    ),
    'GarmentPairs': Case(
        dict(type='shake_mm.GarmentPairs', num_samples=12, image_size=16, pipeline=PIPELINE),
        (dict(split='all'), "split='all'"),
    ),
    'GarmentScenes': Case(
        dict(type='shake_mm.GarmentScenes', num_images=12, image_size=48, pipeline=SCENES),
        (dict(image_size=20), 'image_size=20'),
        labeled=False,
    ),
    'Garments': Case(
        dict(type='shake_mm.Garments', num_samples=12, pipeline=PIPELINE), (dict(image_size=20), 'image_size=20')
    ),
    'SeededDataset': Case(dict(type='shake_mm.SeededDataset', dataset=RANDOM), None),
}
every_dataset = pytest.mark.parametrize('name', CASES)


@pytest.fixture
def build(tmp_path):
    def build(name, **changes):
        place = dict(data_root=str(tmp_path)) if 'Scenes' in name or name == 'DigitMasks' else {}
        if 'Garment' in name:
            place['garment_root' if 'Scenes' in name else 'data_root'] = str(write_garments(tmp_path / 'garments'))
        return DATASETS.build({**CASES[name].config, **place, **changes})

    return build


def items(dataset, seed=0):
    """All items, drawn after the generators were seeded."""
    seed_generators(seed)
    return [dataset[position] for position in range(len(dataset))]


def plain(item: Any) -> list[np.ndarray]:
    """What an item holds, as arrays."""
    sample = item['data_samples']
    annotations = [value for key, value in sorted(sample.items()) if torch.is_tensor(value)]
    if 'gt_sem_seg' in sample:
        annotations += [sample.gt_sem_seg.data]
    if 'gt_instances' in sample:
        annotations += [torch.as_tensor(sample.gt_instances.labels)]
    return [np.asarray(value) for value in (item['inputs'], *annotations)]


def assert_equal(found, wanted):
    assert len(found) == len(wanted) == 12
    for a, b in zip(found, wanted):
        assert len(plain(a)) == len(plain(b)) > 1
        assert all(np.array_equal(x, y) for x, y in zip(plain(a), plain(b)))


@every_dataset
def test_the_same_seed_gives_the_same_items(build, name):
    assert_equal(items(build(name)), items(build(name)))


@every_dataset
def test_a_pickled_copy_is_whole(build, name):
    """As a worker that is spawned gets it."""
    dataset = build(name)
    wanted = items(dataset)
    assert_equal(items(pickle.loads(pickle.dumps(dataset))), wanted)


@every_dataset
def test_a_loader_reads_it_once(build, name):
    """Each position once, with what runners ask of a data set."""
    dataset = build(name)
    loader = DataLoader(dataset, batch_size=5, collate_fn=lambda batch: batch)
    read = [len(batch if isinstance(batch, list) else batch['data_samples']) for batch in loader]
    assert read == [5, 5, 2] and dataset.metainfo['classes']
    with pytest.raises(IndexError):
        dataset[len(dataset)]


@every_dataset
def test_labels_are_those_of_the_annotations(build, name):
    dataset = build(name)
    samples = [item['data_samples'] for item in items(dataset)]
    if CASES[name].labeled:
        assert [int(sample.gt_label) for sample in samples] == [int(label) for label in dataset.get_gt_labels()]
    elif name == 'DigitMasks':
        wanted = [mmcv.imread(dataset.get_data_info(n)['seg_map_path'], 'unchanged') for n in range(len(dataset))]
        assert all(np.array_equal(sample.gt_sem_seg.data[0], mask) for sample, mask in zip(samples, wanted))
    else:
        wanted = [[i['bbox_label'] for i in dataset.get_data_info(n)['instances']] for n in range(len(dataset))]
        assert [sample.gt_instances.labels.tolist() for sample in samples] == wanted


@pytest.mark.parametrize('name', [name for name, case in CASES.items() if case.wrong])
def test_wrong_arguments_are_refused_when_it_is_built(build, name):
    change, words = CASES[name].wrong
    with pytest.raises(UsageError, match=words):
        build(name, **change)
