import io
import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from shake_mm.grid import Scalars, progress
from shake_mm.grid.progress import Display, progress_note
from shake_mm.grid.run import Run

ONE = Scalars([{'loss': 2.0, 'epoch': 2}], [{'accuracy/top1': 50.0, 'step': 1}])


@pytest.fixture
def make_run(tmp_path):
    (tmp_path / 'a.py').write_text('train_cfg = dict(max_epochs=3)')
    return lambda name: Run(name, tmp_path / 'a.py', Path(name), 0)


def test_lines(make_run, monkeypatch):
    out, runs = io.StringIO(), [make_run(name) for name in 'abc']
    clock = itertools.count(step=100)
    monkeypatch.setattr(progress, 'time', SimpleNamespace(monotonic=lambda: next(clock)))
    a, b, c = runs
    show = Display(Console(file=out, width=200), runs)
    show(a, 'running', Scalars([], []))
    for _ in range(2):  # nothing new the second time
        show(a, 'running', Scalars([{'loss': 2.0, 'epoch': 1}], [{'accuracy/top1': 50.0, 'step': 1}]))
    show(a, 'running', Scalars([{'loss': 1.0, 'epoch': 3}], [{'step': 1}, {'accuracy/top1': 60.0, 'step': 3}]))
    show(b, 'skipped', ONE)
    show(c, 'failed', Scalars([], []))
    assert out.getvalue().splitlines() == [
        '1/3 a: epoch 1/3  loss 2.000  accuracy 50.00 %  about 7 min left',
        '1/3 a: epoch 3/3  loss 1.000  accuracy 60.00 %',
        '2/3 b: finished earlier, not trained again  loss 2.000  accuracy 50.00 %  (of epoch 1)',
        '3/3 c: failed',
    ]


def test_bars(make_run):
    """An epoch under way is not done; of many ended runs only the latest stay."""
    show = Display(Console(file=io.StringIO(), force_terminal=True, width=200))
    show(make_run('a'), 'running', ONE)
    show(make_run('b'), 'failed', ONE)
    assert [(task.completed, task.fields['note']) for task in show.bars.tasks] == [
        (1, 'loss 2.000  accuracy 50.00 %  (of epoch 1)'),
        (1, 'failed'),
    ]
    for i in range(20):
        show(make_run(f'c{i}'), 'finished', ONE)
    names = [task.description for task in show.bars.tasks]
    assert names == ['a', *(f'c{i}' for i in range(8, 20))] and show.bars.tasks[-1].completed == 3


def test_detectors_have_an_ap_and_segmentors_an_iou():
    assert progress_note(Scalars([], [{'coco/bbox_mAP': 0.641, 'step': 1}])) == 'AP 64.1'
    assert progress_note(Scalars([{'loss': 1.0, 'epoch': 2}], [{'mIoU': 41.5, 'step': 2}])) == 'loss 1.000  mIoU 41.50'
    assert progress_note(Scalars([{'loss': 1.0, 'epoch': 2}], [{'gap/teacher': 1.0, 'step': 1}])) == 'loss 1.000'
