"""Seeded draws: the same in any process, others in any other epoch, and nothing else is disturbed."""

import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, DefaultSampler
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

from shake_mm.datasets import ContrastDataset, DigitPairs, SeededBatchSampler, SeededDataset
from shake_mm.datasets.seeded import Draw, generators_kept, seed_generators
from shake_mm.errors import UsageError

PACK = [dict(type='PackInputs')]


class Three(Dataset):
    """What each of the three generators says; the position first."""

    def __len__(self):
        return 11

    def __getitem__(self, position):
        return position, random.random(), np.random.rand(), torch.rand(()).item()


def states():
    return random.getstate(), pickle.dumps(np.random.get_state()), torch.get_rng_state().tolist()


def loader(workers, seed=5, start=0, epoch=0, persistent=False):
    dataset = SeededDataset(Three())
    sampler = SeededBatchSampler(DefaultSampler(dataset, seed=seed), batch_size=4)
    sampler.sampler.set_epoch(epoch)
    sampler.start = start
    return DataLoader(dataset, batch_sampler=sampler, num_workers=workers, persistent_workers=persistent)


def rows(batches):
    return [row for batch in batches for row in zip(*(column.tolist() for column in batch))]


def test_a_draw_is_a_function_of_seed_epoch_and_position():
    dataset = SeededDataset(Three())
    drawn = {key: dataset[Draw(*key)] for key in np.ndindex(3, 3, 3)}
    assert all(item == dataset[Draw(*key)] and item[0] == key[2] for key, item in drawn.items())
    for column in (1, 2, 3):
        assert len({item[column] for item in drawn.values()}) == len(drawn)


def test_neighboring_draws_are_unrelated():
    """As a fair generator's: mean 1/2, variance 1/12, no correlation with the next epoch, position, generator."""
    dataset = SeededDataset(Three())
    values = np.array([[dataset[Draw(0, e, p)][1:] for p in range(11)] for e in range(200)])
    assert abs(values.mean() - 0.5) < 0.02 and abs(values.var() - 1 / 12) < 0.005
    pairs = [(values[1:], values[:-1]), (values[:, 1:], values[:, :-1]), (values[..., 1:], values[..., :-1])]
    for a, b in pairs:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05


def test_nothing_else_is_disturbed():
    before = states()
    SeededDataset(Three())[Draw(0, 1, 2)]
    rows(loader(0))
    # to begin a pass takes torch's loader one draw of its own
    assert states()[:2] == before[:2]
    with pytest.raises(ZeroDivisionError), generators_kept():
        seed_generators(3)
        assert states()[0] != before[0]
        raise ZeroDivisionError
    assert states()[:2] == before[:2]


@pytest.mark.parametrize('workers', [1, 2])
def test_equal_for_any_number_of_workers(workers):
    wanted = [rows(loader(0, epoch=epoch)) for epoch in (0, 1)]
    assert sorted(row[0] for row in wanted[0]) == list(range(11))
    assert [row[0] for row in wanted[0]] != [row[0] for row in wanted[1]]
    kept = loader(workers, persistent=True)
    for epoch in (0, 1):
        kept.batch_sampler.sampler.set_epoch(epoch)
        assert rows(kept) == wanted[epoch]


@pytest.mark.parametrize('start', [0, 1, 2, 3])
def test_from_any_batch_on(start):
    """Behind the last batch there is none; the length stays the epoch's."""
    later = loader(0, start=start)
    assert rows(later) == rows(loader(0))[4 * start :] and len(later) == 3


def test_ranks_share_the_draws(monkeypatch):
    """Two processes see what one would, each sample with its own draw."""
    whole = {row[0]: row for row in rows(loader(0))}
    seen = []
    for rank in (0, 1):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, 2))
        seen += rows(loader(0))
    assert {row[0] for row in seen} == set(whole) and all(row == whole[row[0]] for row in seen)


def test_batches_of_another_sampler():
    """mmdet's, which reads the images' sizes; positions reach it as plain numbers, and no sample is lost."""
    sizes = [(2, 1) if i % 3 else (1, 2) for i in range(11)]
    dataset = SeededDataset(Three())
    dataset.dataset.get_data_info = lambda i: dict(width=sizes[i][0], height=sizes[i][1])
    config = dict(type='mmdet.AspectRatioBatchSampler')
    sampler = SeededBatchSampler(DefaultSampler(dataset, seed=0), batch_size=2, batch_sampler=config)
    batches = list(sampler)
    assert sorted(draw.position for batch in batches for draw in batch) == list(range(11))
    assert all(sizes[a.position] == sizes[b.position] for a, b in batches[:4])
    sampler.start = 3
    assert list(sampler) == batches[3:]


def test_a_last_batch_may_be_dropped():
    assert [len(batch) for batch in SeededBatchSampler(DefaultSampler(Three(), seed=0), 4, drop_last=True)] == [4, 4]


def test_a_sampler_without_seed_is_refused():
    with pytest.raises(UsageError, match='RandomSampler'):
        SeededBatchSampler(torch.utils.data.RandomSampler(Three()), 2)


def test_it_stands_for_a_data_set_of_mmengine():
    """Around the contrast set of a concatenation, built late; negatives follow the draw; a plain position passes."""
    parts = [dict(type='shake_mm.DigitPairs', split='train', num_samples=n, pipeline=PACK) for n in (20, 30)]
    joined = ConcatDataset(parts, lazy_init=True)
    dataset = SeededDataset(ContrastDataset(joined, negatives=3, lazy_init=True))
    dataset.full_init()
    assert len(dataset) == 50 and dataset.metainfo == joined.metainfo and dataset.CLASSES == joined.metainfo['classes']
    assert dataset.get_data_info(25)['gt_label'] == joined.datasets[1].get_data_info(5)['gt_label']
    samples = [dataset[Draw(0, epoch, 25)]['data_samples'].contrast_idx.tolist() for epoch in (0, 1, 0)]
    assert samples[0] == samples[2] != samples[1] and samples[0][0] == 25
    assert torch.equal(dataset[25]['inputs'], dataset[Draw(0, 0, 25)]['inputs'])
    with pytest.raises(AttributeError, match='no_such_name'):
        _ = dataset.no_such_name


def test_it_travels_to_a_spawned_worker():
    copy = pickle.loads(pickle.dumps(SeededDataset(Three())))
    assert copy[Draw(1, 2, 3)] == SeededDataset(Three())[Draw(1, 2, 3)]


def test_the_runner_builds_it():
    """By name, with the seed of the run, also where an epoch is cut short."""
    config = dict(
        batch_size=4,
        sampler=dict(type='DefaultSampler', shuffle=True),
        batch_sampler=dict(type='shake_mm.SeededBatchSampler'),
        dataset=dict(
            type='shake_mm.SeededDataset',
            dataset=dict(type='shake_mm.DigitPairs', split='train', num_samples=20, pipeline=PACK),
        ),
        num_batch_per_epoch=2,
    )
    built = Runner.build_dataloader(config, seed=3)
    assert len(built) == 2 and built.batch_sampler.sampler.seed == 3
    (first, _) = list(built)
    draw = next(iter(built.batch_sampler))[0]
    plain = DigitPairs(split='train', num_samples=20, pipeline=PACK)
    assert draw.seed == 3 and torch.equal(first['inputs'][0], plain[draw.position]['inputs'])
