"""ContrastDataset: which samples it draws, and that it stands wherever a data set of mmengine does."""

import numpy as np
import pytest
import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.runner import Runner
from mmpretrain.datasets import BaseDataset
from mmpretrain.models import ClsDataPreprocessor

from shake_mm.datasets import ContrastDataset, DigitPairs
from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS

from ..support.runs import train

LABELS = [7, 2, 2, 7, 0, 7, 2, 0, 7, 7, 2, 2]  # classes of unequal size, mixed, one number left out
PACK = [dict(type='PackInputs')]


class Plain(BaseDataset):
    """An image that shows its number, for every label given."""

    METAINFO = {'classes': tuple('abcdefgh')}

    def __init__(self, labels=LABELS, pipeline=PACK, **kwargs):
        self.labels = labels
        super().__init__(ann_file='', pipeline=pipeline, **kwargs)

    def load_data_list(self):
        """Leave out the label where it is None."""
        items = [dict(img=np.full((2, 2, 3), i, np.uint8), gt_label=label) for i, label in enumerate(self.labels)]
        return [{key: value for key, value in item.items() if value is not None} for item in items]


def contrast(dataset, position):
    sample = dataset[position]['data_samples']
    assert sample.own_idx.item() == position and sample.contrast_idx.dtype == sample.own_idx.dtype == torch.int64
    return sample.contrast_idx.numpy()


@pytest.mark.parametrize('mode', ['exact', 'relax'])
@pytest.mark.parametrize('negatives', [1, 3, 7, 30])
def test_negatives_are_of_other_classes_and_distinct_while_they_last(negatives, mode):
    dataset, labels = ContrastDataset(Plain(), negatives, mode), np.array(LABELS)
    for position in range(len(LABELS)):
        others = np.flatnonzero(labels != labels[position])
        positive, *drawn = contrast(dataset, position)
        assert len(drawn) == negatives and set(drawn) <= set(others)
        assert len(set(drawn)) == negatives or negatives > len(others)
        assert positive == position if mode == 'exact' else labels[positive] == labels[position]


@pytest.mark.parametrize('negatives', [3, 20])
def test_every_other_sample_is_as_likely(negatives):
    dataset, draws = ContrastDataset(Plain(), negatives, 'relax'), 2000
    np.random.seed(0)
    drawn = np.stack([contrast(dataset, 3) for _ in range(draws)])
    labels = np.array(LABELS)
    for part, members in ((drawn[:, :1], labels == 7), (drawn[:, 1:], labels != 7)):
        shares = np.bincount(part.ravel(), minlength=len(labels)) / part.size
        assert not shares[~members].any()
        np.testing.assert_allclose(shares[members], 1 / members.sum(), atol=4 / np.sqrt(draws * members.sum()))


def test_draws_follow_numpys_global_state():
    dataset = ContrastDataset(DigitPairs(num_samples=300, pipeline=PACK), negatives=50)
    runs = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        runs.append(np.stack([contrast(dataset, 5), contrast(dataset, 5)]))
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0][0], runs[0][1])


def test_it_delegates():
    dataset = ContrastDataset(Plain(lazy_init=True), negatives=2, lazy_init=True)
    assert not dataset.dataset._fully_initialized and dataset.metainfo['classes'] == tuple('abcdefgh')
    assert len(dataset) == len(LABELS)
    assert dataset.get_data_info(3)['gt_label'] == 7 and dataset.get_cat_ids(4) == [0]
    assert dataset.get_gt_labels().tolist() == LABELS
    assert dataset[-1]['data_samples'].own_idx == len(LABELS) - 1
    assert dataset[5]['inputs'].unique().item() == 5 and dataset[5]['data_samples'].gt_label.item() == 7
    with pytest.raises(IndexError):
        dataset[len(LABELS)]
    assert len(list(dataset)) == len(LABELS)


@pytest.mark.parametrize(
    'wrapper', [lambda part: RepeatDataset(part, 3), lambda part: ConcatDataset([part, Plain([2, 2, 0])])]
)
def test_positions_are_those_of_the_wrapped_set(wrapper):
    inner = wrapper(Plain())
    dataset, labels = (
        ContrastDataset(inner, negatives=6),
        [inner.get_data_info(i)['gt_label'] for i in range(len(inner))],
    )
    seen = set()
    for _ in range(40):
        own, *drawn = contrast(dataset, len(inner) - 1)
        assert own == len(inner) - 1 and all(labels[i] != labels[own] for i in drawn)
        seen |= set(drawn)
    assert len(seen) == sum(label != labels[-1] for label in labels)


def test_mmengine_wraps_it():
    balanced = ClassBalancedDataset(dict(type='shake_mm.ContrastDataset', **digits(20)), oversample_thr=0.02)
    assert balanced[3]['data_samples'].contrast_idx.shape == (8,)


def digits(samples):
    return dict(dataset=dict(type='shake_mm.DigitPairs', num_samples=samples, pipeline=PACK), negatives=7)


@pytest.mark.parametrize('workers', [0, 2])
def test_a_loader_brings_it_to_the_device(workers):
    loader = Runner.build_dataloader(
        dict(
            batch_size=5,
            num_workers=workers,
            dataset=dict(type='shake_mm.ContrastDataset', **digits(20)),
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        seed=0,
    )
    batches = list(loader)
    samples = [sample for batch in batches for sample in batch['data_samples']]
    assert sorted(int(sample.own_idx) for sample in samples) == list(range(20))
    assert len({tuple(sample.contrast_idx[1:].tolist()) for sample in samples}) == 20
    assert all(sample.gt_label == loader.dataset.get_cat_ids(sample.own_idx)[0] for sample in samples)
    moved = ClsDataPreprocessor().to('meta').cast_data(batches[0])['data_samples']
    assert all(sample.contrast_idx.is_meta and sample.contrast_idx.shape == (8,) for sample in moved)


def test_a_runner_trains_on_it(make_classifier, tmp_path):
    from ..support.runs import run_config

    loader = run_config(None, tmp_path).train_dataloader
    loader.dataset = dict(type='shake_mm.ContrastDataset', dataset=loader.dataset, negatives=7)
    runner = train(
        make_classifier(classes=100), tmp_path, train_dataloader=loader, custom_hooks=[dict(type='ClassNumCheckHook')]
    )
    assert runner.iter == 4


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(negatives=0), 'negatives=0 of ContrastDataset'),
        (dict(mode='exakt'), "mode='exakt' .* use 'exact' or 'relax'"),
        (dict(dataset=Plain([3, 3, 3])), 'single class'),
        (dict(dataset=Plain([3, None])), 'gt_label=None at position 1'),
        (dict(dataset=Plain([[0, 1], [1]])), r'gt_label=\[0, 1\] at position 0'),
    ],
)
def test_arguments_that_cannot_work(arguments, message):
    with pytest.raises(UsageError, match=message):
        ContrastDataset(**{'dataset': Plain(), **arguments})


def test_a_pipeline_without_samples_is_named():
    dataset = DATASETS.build(dict(type='shake_mm.ContrastDataset', dataset=Plain(pipeline=[])))
    with pytest.raises(UsageError, match='PackInputs'):
        dataset[0]
