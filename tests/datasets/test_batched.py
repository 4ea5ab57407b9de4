"""Batches cut at once, against images cut one by one."""

from functools import partial

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from torch.utils.data import DataLoader

from shake_mm.datasets import BatchedCrops, BatchedViews, SeededBatchSampler, SeededDataset, ViewSet
from shake_mm.datasets.batched import as_batch, uniform
from shake_mm.datasets.seeded import Draw
from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS, MODELS

CIFAR = dict(crop_size=32, padding=4, flip_prob=0.5)


def pairs(number=12, size=32, pipeline=()):
    return dict(type='shake_mm.DigitPairs', num_samples=number, image_size=size, pipeline=list(pipeline))


@pytest.fixture
def sources():
    return DATASETS.build(pairs())


@pytest.mark.parametrize(
    'settings', [CIFAR, dict(crop_size=(20, 31), padding=(3, 0, 2, 1), pad_val=9, flip_prob=1), dict(crop_size=30), {}]
)
def test_every_view_of_every_image(sources, settings):
    dataset, views = BatchedViews(sources, **settings), ViewSet((32, 32), **settings)
    assert len(dataset) == 12 and len(dataset.views) == len(views)
    for view in range(len(views)):
        batch = dataset.batch(list(range(12)), [view] * 12)
        wanted = [views.show(sources[i]['img'], view) for i in range(12)]
        np.testing.assert_array_equal(batch['inputs'].permute(0, 2, 3, 1).numpy(), wanted)
        assert [s.gt_label.item() for s in batch['data_samples']] == [sources[i]['gt_label'] for i in range(12)]
        assert [(s.sample_idx, s.view_idx) for s in batch['data_samples']] == [(i, view) for i in range(12)]


def test_the_model_gets_what_it_gets_from_mmpretrain(sources):
    """A view through the loader and the preprocessor, beside the per-image pipeline's."""
    pipeline = [
        dict(type='shake_mm.RandomView', **CIFAR),
        dict(type='PackInputs', meta_keys=('sample_idx', 'view_idx')),
    ]
    single = DATASETS.build(pairs(pipeline=pipeline))
    np.random.seed(3)
    items = [single[i] for i in (5, 0, 7)]
    wanted = default_collate(items)
    got = BatchedViews(sources, **CIFAR).batch([5, 0, 7], [item['data_samples'].view_idx for item in items])
    for settings in (dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True), dict(to_onehot=True)):
        preprocess = MODELS.build(dict(type='mmpretrain.ClsDataPreprocessor', num_classes=100, **settings))
        one, other = preprocess(default_collate(items), True), preprocess(got, True)
        assert torch.equal(one['inputs'], other['inputs'])
        for a, b in zip(one['data_samples'], other['data_samples']):
            assert torch.equal(a.gt_label, b.gt_label) and a.sample_idx == b.sample_idx and a.view_idx == b.view_idx
            assert ('gt_score' in a) == ('gt_score' in b)
            assert 'gt_score' not in a or torch.equal(a.gt_score, b.gt_score)
    assert torch.equal(wanted['inputs'], got['inputs'])


@pytest.mark.parametrize('mix', ['Mixup', 'CutMix'])
def test_the_preprocessor_mixes_it(sources, mix):
    preprocess = MODELS.build(
        dict(
            type='mmpretrain.ClsDataPreprocessor',
            num_classes=100,
            batch_augments=dict(augments=[dict(type=f'mmpretrain.{mix}', alpha=1.0)]),
        )
    )
    batch = preprocess(BatchedViews(sources).batch(list(range(12)), [0] * 12), True)
    scores = torch.stack([sample.gt_score for sample in batch['data_samples']])
    assert (scores.max(1).values < 1).any() and torch.allclose(scores.sum(1), torch.ones(12))


def test_a_loader_shuffles_and_draws():
    dataset = BatchedViews(DATASETS.build(pairs(300, 16)), crop_size=16, padding=1, flip_prob=0.5)
    loader = DataLoader(dataset, 32, shuffle=True, collate_fn=as_batch)
    samples = [sample for _ in range(30) for batch in loader for sample in batch['data_samples']]
    seen = np.bincount([sample.sample_idx for sample in samples])
    drawn = np.bincount([sample.view_idx for sample in samples], minlength=18)
    assert (seen == 30).all()
    np.testing.assert_allclose(drawn, 500, atol=5 * 500**0.5)


def test_seeded_draws_depend_on_nothing_else():
    dataset = BatchedViews(DATASETS.build(pairs(300, 16)), crop_size=16, padding=1, flip_prob=0.5)
    alone = {i: dataset.__getitems__([Draw(3, 1, i)])['data_samples'][0].view_idx for i in range(300)}
    order = list(np.random.default_rng(0).permutation(300))
    joint = dataset.__getitems__([Draw(3, 1, i) for i in order])
    assert [sample.view_idx for sample in joint['data_samples']] == [alone[i] for i in order]
    for other in ((4, 1), (3, 2)):
        views = [s.view_idx for s in dataset.__getitems__([Draw(*other, i) for i in range(300)])['data_samples']]
        assert np.mean(np.array(views) == list(alone.values())) < 0.15
    state = torch.get_rng_state()
    dataset.__getitems__([Draw(3, 1, 0)])
    assert torch.equal(state, torch.get_rng_state())


def test_seeded_draws_are_uniform_over_positions_epochs_and_seeds():
    for column in range(3):
        keys = np.ones((30000, 3), np.uint64)
        keys[:, column] = np.arange(30000)
        draws = uniform(keys)
        assert draws.min() >= 0 and draws.max() < 1 and len(np.unique(draws)) == draws.size
        counts = np.stack([np.histogram(draws[:, i], 20, (0, 1))[0] for i in range(3)])
        np.testing.assert_allclose(counts, 1500, atol=5 * 1500**0.5)
        assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 0.03
        assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.03


def test_the_sampler_of_exact_runs_goes_through():
    dataset = SeededDataset(BatchedViews(DATASETS.build(pairs()), **CIFAR))

    class Order(list):
        seed, epoch = 5, 2

    loader = DataLoader(dataset, batch_sampler=SeededBatchSampler(Order(range(12)), 5), collate_fn=as_batch)
    batches = list(loader)
    assert [len(batch['inputs']) for batch in batches] == [5, 5, 2]
    again = dataset.dataset.__getitems__([Draw(5, 2, i) for i in range(5, 10)])
    assert torch.equal(batches[1]['inputs'], again['inputs'])


def test_single_items_for_wrappers(sources):
    item = BatchedViews(sources, **CIFAR)[-1]
    assert item['inputs'].shape == (3, 32, 32) and item['data_samples'].sample_idx == 11


@pytest.mark.parametrize('kind', [BatchedViews, partial(BatchedCrops, scale=4)])
@pytest.mark.parametrize(
    ('shapes', 'dtype', 'label', 'words'),
    [
        ([(8, 8, 3), (9, 8, 3)], np.uint8, 0, 'needs images of one size, and these have 2'),
        ([(8, 8, 3)], np.uint16, 0, 'keeps images of 8 bits, and these are uint16'),
        ([(8, 8, 3)], np.uint8, [1, 2], 'keeps one label of each image, and some have several'),
    ],
)
def test_each_refuses_in_its_own_name(kind, shapes, dtype, label, words):
    name = getattr(kind, 'func', kind).__name__
    with pytest.raises(UsageError, match=f'^train_dataloader: {name} {words}'):
        kind([dict(img=np.zeros(shape, dtype), gt_label=label) for shape in shapes], device='cpu')


def test_the_collate_function_refuses_lists():
    with pytest.raises(UsageError, match='BatchedViews and shake_mm.BatchedCrops alone'):
        as_batch([dict(inputs=1)])
