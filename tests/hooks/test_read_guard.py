"""Samples that cannot be read, below wrappers and where none may be left out; runs stand in tests/test_failures.py."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import ConcatDataset

from shake_mm.datasets.readable import Reader
from shake_mm.datasets.wrapped import innermost
from shake_mm.errors import UsageError
from shake_mm.hooks import ReadGuardHook
from shake_mm.hooks.recent_batches import RecentBatches, shortened
from shake_mm.registry import DATASETS, TRANSFORMS


@TRANSFORMS.register_module()
class Broken:
    """Cannot read some glyphs, or gives None for them."""

    def __init__(self, samples, gives='torn'):
        self.samples, self.gives = samples, gives

    def __call__(self, results):
        if results['sample_idx'] not in self.samples:
            return results
        if self.gives is None:
            return None
        raise ValueError(self.gives) if isinstance(self.gives, str) else self.gives


def digits(samples=(3, 4), **changes):
    pipeline = [dict(type='shake_mm.Broken', samples=samples, **changes.pop('broken', {})), dict(type='PackInputs')]
    return dict(type='shake_mm.Digits', num_samples=20, pipeline=pipeline, **changes)


def watched(dataset, **hook):
    """Let the hook watch a data set as a run's training set."""
    dataset = DATASETS.build(dataset)
    hook = ReadGuardHook(**hook)
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=dataset), val_loop=None)
    hook.before_train(runner)
    return dataset, hook


def sample_of(item):
    return item['data_samples'].sample_idx


def test_the_next_that_can_be_read_below_wrappers():
    """Of the second of two joined sets; the end of a set is followed by its beginning."""
    joined = ConcatDataset([DATASETS.build(digits(())), DATASETS.build(digits((3, 4, 19)))])
    dataset, _ = watched(dict(type='shake_mm.SeededDataset', dataset=joined), policy='skip')
    assert [sample_of(dataset[i]) for i in (3, 23, 24, 25, 39)] == [3, 5, 5, 5, 0]
    readers = [inner.prepare_data for inner, _ in innermost(dataset)]
    assert [reader.unread.nonzero()[:, 0].tolist() for reader in readers] == [[], [3, 4, 19]]
    assert readers[1].unread[[3, 4, 19]].tolist() == [1, 2, 1]


def test_fail_names_the_sample_and_the_reason():
    dataset, hook = watched(digits())
    with pytest.raises(UsageError, match=r'train_dataloader.dataset: sample 4 cannot be read \(torn\): fix'):
        dataset[4]
    hook.after_train(None)
    with pytest.raises(ValueError, match='torn'):
        dataset[4]


def test_a_test_set_never_skips():
    dataset = DATASETS.build(digits(test_mode=True))
    Reader(dataset, 'val_dataloader', 'skip', 10)
    with pytest.raises(UsageError, match='val_dataloader.dataset: sample 3'):
        dataset[3]


def test_lack_of_memory_is_no_fault_of_a_file():
    dataset, _ = watched(digits(broken=dict(gives=MemoryError())), policy='skip')
    with pytest.raises(MemoryError):
        dataset[3]


def test_crd_needs_every_sample_at_its_place():
    contrast = dict(type='shake_mm.ContrastDataset', negatives=4)
    with pytest.raises(UsageError, match='ContrastDataset'):
        watched(dict(dataset=digits(), **contrast), policy='skip')
    dataset, _ = watched(dict(dataset=digits(broken=dict(gives=None)), **contrast))
    assert sample_of(dataset[5]) == 5
    with pytest.raises(UsageError, match='gives nothing for sample 3, but ContrastDataset needs'):
        dataset[3]


@pytest.mark.parametrize(
    'arguments, message', [(dict(policy='ignore'), "policy='ignore'"), (dict(max_skips=0), 'max_skips=0')]
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UsageError, match=message):
        ReadGuardHook(**arguments)


def test_ids_of_recent_batches():
    """What identifies a sample differs by task; older batches are forgotten on demand."""
    recent = RecentBatches()
    named = [SimpleNamespace(sample_idx=3), SimpleNamespace(img_id=7, img_path='a'), SimpleNamespace(img_path='b')]
    recent.note(1, dict(data_samples=[*named, SimpleNamespace()]))
    recent.note(2, ['no dict'])
    assert recent.ids(1) == [3, 7, 'b'] and recent.ids(2) == recent.ids(9) == []
    recent.forget()
    assert recent.ids(1) == []
    assert shortened([3, 7, 'b'], shown=2) == 'samples 3, 7, … (3 in all)' and shortened([]) == 'samples without an id'


@pytest.mark.parametrize('policy', ['fail', 'skip'])
@pytest.mark.parametrize('shape', [(3, 20, 20), (1, 16, 16), (4, 16, 16)])
def test_an_image_that_does_not_fit_into_its_batch_is_named(policy, shape):
    sample = [SimpleNamespace(img_path=f'{i}.png') for i in range(3)]
    items = [dict(inputs=torch.zeros(3, 16, 16), data_samples=sample[i]) for i in range(3)]
    loader = SimpleNamespace(
        dataset=DATASETS.build(digits()), collate_fn=lambda items: torch.stack([i['inputs'] for i in items])
    )
    collate, hook = loader.collate_fn, ReadGuardHook(policy=policy)
    hook.before_train(SimpleNamespace(train_dataloader=loader, val_loop=None))
    assert loader.collate_fn(items).shape == (3, 3, 16, 16)
    items[2]['inputs'] = torch.zeros(shape)
    with pytest.raises(UsageError, match=r'train_dataloader: 2.png is \(.*, and others of its batch are \(3, 16, 16\)'):
        loader.collate_fn(items)
    with pytest.raises(TypeError):  # a defect of the function itself
        loader.collate_fn([SimpleNamespace()])
    hook.after_train(None)
    assert loader.collate_fn is collate
