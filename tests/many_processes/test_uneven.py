"""What each rank gets of a set that does not divide among them."""

import pytest
from mmengine.dataset import DefaultSampler

from shake_mm.datasets import ContrastDataset, SeededBatchSampler, SeededDataset
from shake_mm.datasets.seeded import Draw
from shake_mm.errors import UsageError
from shake_mm.loops import ExactTrainLoop
from shake_mm.registry import DATASETS

SIZE, SEED, EPOCH = 27, 5, 3


@pytest.fixture
def batches(monkeypatch):
    """The batches of every rank, in the fourth epoch."""

    def batches(world, size, round_up=True, start=0, **options):
        found = []
        for rank in range(world):
            monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda rank=rank: (rank, world))
            order = DefaultSampler(range(SIZE), seed=SEED, round_up=round_up)
            order.set_epoch(EPOCH)
            sampler = SeededBatchSampler(order, size, **options)
            sampler.start = start
            found.append(list(sampler))
            assert len(sampler) == len(found[-1]) + start
        return found

    return batches


@pytest.mark.parametrize('drop_last', [False, True])
@pytest.mark.parametrize(('world', 'size'), [(2, 8), (4, 4)])
def test_all_ranks_have_as_many_batches_of_the_same_sizes(batches, world, size, drop_last):
    """In each iteration they hold together what one process would of the set repeated from its start."""
    (whole,) = batches(1, SIZE)
    order = [*whole[0], whole[0][0]]  # 28 divides by 2 and 4
    found = batches(world, size, drop_last=drop_last)
    sizes = [[len(batch) for batch in rank] for rank in found]
    assert sizes == [[size] if drop_last else [size, 28 // world - size]] * world
    for i, joint in enumerate(zip(*found)):
        first = i * size * world
        assert sorted(sum(joint, [])) == sorted(order[first : first + world * len(joint[0])])
        assert all(draw[:2] == (SEED, EPOCH) for batch in joint for draw in batch)


@pytest.mark.parametrize('world', [2, 4])
def test_all_ranks_go_on_at_the_same_batch(batches, world):
    assert batches(world, 3, start=1) == [rank[1:] for rank in batches(world, 3)]


def test_a_contrast_set_does_not_depend_on_the_rank():
    """It is a function of seed, epoch and sample, whatever the process has drawn before."""
    digits = dict(type='shake_mm.DigitPairs', num_samples=SIZE, image_size=16, pipeline=[dict(type='PackInputs')])
    ranks = [SeededDataset(ContrastDataset(DATASETS.build(digits), negatives=9)) for _ in range(2)]
    ranks[1][Draw(SEED, EPOCH, 4)]
    one, other = (rank[Draw(SEED, EPOCH, 11)]['data_samples'] for rank in ranks)
    assert one.contrast_idx.tolist() == other.contrast_idx.tolist() and one.own_idx == other.own_idx == 11


def test_ranks_that_would_wait_for_each_other_are_refused(batches, monkeypatch):
    """Without ``round_up`` two ranks have 14 and 13 samples: of 13 each, that is 2 batches and 1."""
    counts = [len(rank) for rank in batches(2, 13, round_up=False)]
    assert counts == [2, 1]
    monkeypatch.setattr('shake_mm.loops.exact.all_gather_object', lambda own: counts)
    loop = ExactTrainLoop.__new__(ExactTrainLoop)
    loop.dataloader = range(2)
    with pytest.raises(UsageError, match='have 2, 1 batches an epoch.*sampler.round_up=True'):
        loop._check_batches()
