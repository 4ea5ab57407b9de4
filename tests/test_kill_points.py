"""An export, a cache and a grid that are killed at any instant leave nothing half done, and end as if they were not."""

import json
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from shake_mm.cli import cache_teacher, export_student, run_grid
from shake_mm.grid.provenance import read_sessions
from shake_mm.members.cache import LogitsCache

from .support.instants import deaths, in_process
from .support.runs import run_config

EVERY = pytest.param(1, id='every', marks=pytest.mark.slow)


def some(step):
    """Instants that are tried: all, or a few."""
    return lambda number: number % step == step - 1


def contents(folder):
    """The files of a folder, and what they hold; links are not followed."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


# ------------------------------------------------------------------------------------------------ the export
@pytest.mark.parametrize('step', [pytest.param(5, id='some'), EVERY])
def test_an_export(step, shake, trained, make_classifier, tmp_path):
    """What has a published name is whole at once; drafts are gone after the next export."""
    run_config(shake, tmp_path / 'run').dump(tmp_path / 'config.py')
    weights = trained(make_classifier(6, classes=100), 'student.pth')
    saved = torch.load(weights, weights_only=True)['state_dict']
    state = {f'student.{key}': value for key, value in saved.items()}
    torch.save(dict(state_dict=state, meta=dict(epoch=1, iter=4)), tmp_path / 'run.pth')

    def export(folder):
        return export_student.main([str(tmp_path / 'config.py'), str(tmp_path / 'run.pth'), str(folder)])

    assert in_process(export, tmp_path / 'whole') == 0
    wanted = contents(tmp_path / 'whole')
    assert len(wanted) == 2
    cuts = 0
    for folder in deaths(export, tmp_path, some(step)):
        left = contents(folder) if folder.exists() else {}
        assert all(wanted[name] == content for name, content in left.items() if not name.startswith('.')), folder
        assert in_process(export, folder) == 0
        assert contents(folder) == wanted, folder
        cuts += 1
    assert cuts >= (10 if step == 1 else 2)


# ------------------------------------------------------------------------------------------------ the cache
class Half:
    """Dies in the midst of writing rows: when as many calls have been made, with half of the rows there."""

    def __init__(self, calls):
        self.calls = calls

    def __call__(self):
        write = LogitsCache.write

        def half(cache, images, views, logits):
            if self.calls == 0:
                count = len(images) // 2
                write(cache, images[:count], views[:count], logits[:count])
                rows = cache._rows[images[count], views[count]]
                rows[: len(rows) // 2] = logits[count, : len(rows) // 2].view(np.uint16)  # and a row cut short
                cache._rows[images[count], views[count]] = rows
                os.kill(os.getpid(), 9)
            self.calls -= 1
            write(cache, images, views, logits)

        LogitsCache.write = half


@pytest.mark.parametrize('step', [pytest.param(5, id='some'), EVERY])
def test_the_completion_of_a_cache(step, shake, tmp_path):
    """Before each file, and in the midst of rows: the next call makes the same file of it."""
    cfg = run_config(dict(shake), tmp_path, samples=16)
    views = [dict(type='RandomCrop', crop_size=16, padding=1), dict(type='RandomFlip', prob=0.5)]
    cfg.train_dataloader.dataset.pipeline = [*views, dict(type='PackInputs')]
    cfg.dump(tmp_path / 'config.py')

    def fill(folder):
        argv = [str(tmp_path / 'config.py'), '--folder', str(folder), '--batch-size', '64', '--device', 'cpu']
        return cache_teacher.main(argv)

    assert in_process(fill, tmp_path / 'whole') == 0
    wanted = contents(tmp_path / 'whole')
    assert len(wanted) == 2
    for calls in range(0, 4, step):
        folder = tmp_path / f'half{calls}'
        assert in_process(fill, folder, Half(calls)) == -9
        _assert_completed(fill, folder, wanted)
    for folder in deaths(fill, tmp_path, some(step)):
        _assert_completed(fill, folder, wanted)


def _assert_completed(fill, folder, wanted):
    assert in_process(fill, folder) == 0, folder
    found = contents(folder)
    assert {name: found[name] for name in wanted} == wanted, folder
    # A draft of the key, named by chance, is all that a kill may leave.
    assert all(re.fullmatch(r'[^/]+/tmp\w+', name) for name in found.keys() - wanted.keys()), folder


# ------------------------------------------------------------------------------------------------ the grid
TRAIN = """
import os, pathlib, sys
config, work_dir = sys.argv[1], pathlib.Path(sys.argv[3])
options = dict(option.split('=') for option in sys.argv[5:])
(work_dir / 'running').write_text(str(os.getpid()))
draft = work_dir / 'epoch_1.pth.part'
draft.write_bytes(options['randomness.seed'].encode() * 1000)
draft.rename(work_dir / 'epoch_1.pth')
(work_dir / 'running').unlink()
"""


@pytest.mark.parametrize('step', [pytest.param(7, id='some'), EVERY])
def test_a_grid(step, tmp_path, monkeypatch):
    """Killed at any instant: no run counts as finished that is not, and the record of calls is whole."""
    (tmp_path / 'train.py').write_text(TRAIN)
    config = tmp_path / 'net_data.py'
    Config(dict(model=dict(type='Net'), train_cfg=dict(by_epoch=True, max_epochs=1))).dump(config)
    monkeypatch.setattr(run_grid, 'TRAIN', (sys.executable, '-S', str(tmp_path / 'train.py')))

    def grid(folder):
        return run_grid.main([str(config), '--seeds', '0', '1', '--jobs', '2', '--work-dir', str(folder)])

    def trained(folder):
        return {name: content for name, content in contents(folder).items() if name.endswith(('.pth', 'finished.json'))}

    assert in_process(grid, tmp_path / 'whole') == 0
    wanted = trained(tmp_path / 'whole')
    assert len(wanted) == 4
    for folder in deaths(grid, tmp_path, some(step)):
        _wait_for_orphans(folder)
        for done in folder.rglob('finished.json'):
            assert json.loads(done.read_text()) and (done.parent / 'epoch_1.pth').is_file(), folder
        read_sessions(folder)
        assert in_process(grid, folder) == 0, folder
        assert trained(folder) == wanted and not list(folder.rglob('*.part')), folder
        assert sum(session['trained'] for session in read_sessions(folder)) <= 2


def _wait_for_orphans(folder: Path) -> None:
    """Trainings whose grid was killed go on by themselves; a real one holds its folder meanwhile."""
    deadline = time.monotonic() + 60
    while list(folder.rglob('running')) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    with suppress(StopIteration):
        raise AssertionError(next(folder.rglob('running')))
