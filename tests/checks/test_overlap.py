"""A validation on training images is warned of."""

import shutil

import mmcv
import numpy as np
import pytest

from shake_mm.checks.overlap import warn_of_overlap
from shake_mm.registry import DATASETS


@pytest.fixture
def warned(monkeypatch):
    said = []
    monkeypatch.setattr('shake_mm.checks.overlap.print_log', lambda text, *args: said.append(text))

    def warned(train, val):
        said.clear()
        warn_of_overlap(*(DATASETS.build(dict(part)) for part in (train, val)))
        return said

    return warned


def pairs(**arguments):
    return dict(type='shake_mm.DigitPairs', pipeline=[dict(type='PackInputs')], **arguments)


def test_images_in_memory(warned):
    assert not warned(pairs(split='train', num_samples=100), pairs(split='val', num_samples=80))
    assert '64 of 64' in warned(pairs(split='train', num_samples=200), pairs(split='train', num_samples=80))[0]
    twice = dict(type='RepeatDataset', times=2, dataset=pairs(split='train', num_samples=30))
    assert 'correct `split`' in warned(dict(type='ConcatDataset', datasets=[twice]), pairs(num_samples=30))[0]


def test_files(warned, tmp_path):
    for split, first in (('train', 0), ('val', 10)):
        for i in range(4):
            path = tmp_path / split / 'abc'[i % 2] / f'{i}.png'
            mmcv.imwrite(np.full((8, 8, 3), first + i, np.uint8), str(path))
    shutil.copytree(tmp_path / 'train', tmp_path / 'copied')
    (tmp_path / 'link').symlink_to(tmp_path / 'train')

    def folder(name):
        return dict(type='CustomDataset', data_root=str(tmp_path / name), pipeline=[])

    assert not warned(folder('train'), folder('val'))
    assert all('4 of 4' in warned(folder('train'), folder(name))[0] for name in ('train', 'link', 'copied'))
