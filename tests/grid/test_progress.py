import io
from pathlib import Path

import pytest
from rich.console import Console

from shake_mm.grid import Scalars
from shake_mm.grid.progress import Display, progress_note
from shake_mm.grid.run import Run

ONE = Scalars([{'loss': 2.0, 'epoch': 2}], [{'accuracy/top1': 50.0, 'step': 1}])


@pytest.fixture
def make_run(tmp_path):
    (tmp_path / 'a.py').write_text('train_cfg = dict(max_epochs=3)')
    return lambda name: Run(name, tmp_path / 'a.py', Path(name), 0)


def test_lines(make_run):
    out = io.StringIO()
    show = Display(Console(file=out, width=200))
    a, b, c = map(make_run, 'abc')
    show(a, 'running', Scalars([], []))
    for _ in range(2):  # nothing new the second time
        show(a, 'running', ONE)
    show(b, 'skipped', ONE)
    show(c, 'failed', Scalars([], []))
    assert out.getvalue().splitlines() == [
        'a: epoch 1/3  loss 2.000  accuracy 50.00 %',
        'b: finished earlier, not trained again  loss 2.000  accuracy 50.00 %',
        'c: failed',
    ]


def test_bars(make_run):
    """An epoch under way is not done; of many ended runs only the latest stay."""
    show = Display(Console(file=io.StringIO(), force_terminal=True, width=200))
    show(make_run('a'), 'running', ONE)
    show(make_run('b'), 'failed', ONE)
    assert [(task.completed, task.fields['note']) for task in show.bars.tasks] == [
        (1, 'loss 2.000  accuracy 50.00 %'),
        (1, 'failed'),
    ]
    for i in range(20):
        show(make_run(f'c{i}'), 'finished', ONE)
    names = [task.description for task in show.bars.tasks]
    assert names == ['a', *(f'c{i}' for i in range(8, 20))] and show.bars.tasks[-1].completed == 3


def test_detectors_have_an_ap():
    assert progress_note(Scalars([], [{'coco/bbox_mAP': 0.641, 'step': 1}])) == 'AP 64.1'
