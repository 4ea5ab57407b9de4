"""The lines of a distillation: what trains, how long it will take, what came out."""

import itertools
import json
import re
from types import SimpleNamespace

import pytest

from shake_mm.hooks import summary

from ..support.runs import run_config, train

EARLIER = '20260101_000000'


def test_the_time_that_is_left_is_told_after_a_few_steps(shake, tmp_path, monkeypatch):
    clock = itertools.count(step=45)
    monkeypatch.setattr(summary, 'time', SimpleNamespace(perf_counter=lambda: next(clock)))
    hooks = [*run_config(shake, tmp_path).custom_hooks, dict(type='shake_mm.SummaryHook')]
    train(shake, tmp_path, epochs=4, custom_hooks=hooks, log_level='INFO')
    lines = next(tmp_path.rglob('*.log')).read_text().splitlines()
    told = [line.partition('INFO - ')[2] for line in lines if ' s a step' in line]
    assert told == ['45 s a step: about 4 min to go, without validation']  # 11 of 16 steps are done
    number = next(i for i, line in enumerate(lines) if ' s a step' in line)
    assert 'Epoch(train)  [3][2/4]' in lines[number - 1].replace('Epoch(train) [', 'Epoch(train)  [')


def expected(shake, folder):
    """What the first line of a new run says of the time that it takes."""
    before = {*folder.rglob('*.log')}
    hooks = [*run_config(shake, folder).custom_hooks, dict(type='shake_mm.SummaryHook')]
    train(shake, folder, epochs=4, custom_hooks=hooks, log_level='INFO')
    (log,) = {*folder.rglob('*.log')} - before
    return re.search(r'4 epochs of 4 steps(.*); log and config: ', log.read_text())[1]


def test_the_first_line_goes_by_an_earlier_run_of_the_same_config(shake, tmp_path):
    """One that took 30 seconds a step."""
    assert expected(shake, tmp_path) == ', how long they take is told after 10'
    (log,) = tmp_path.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text(''.join(json.dumps({**row, 'time': 30.0}) + '\n' for row in rows))
    log.parents[1].rename(tmp_path / EARLIER)
    assert expected(shake, tmp_path) == f', about 8 min at 30 s a step, as in {EARLIER}'


LOG = '{"loss": 1.0, "time": 9.0}\n{"loss": 1.0, "time": 2.0}\n{"loss": 1.0, "time": 2.0}\n{"acc": 1.0, "time": 0.1}\n'
CONFIG = "model = dict(type='A')\ntrain_dataloader = dict(batch_size=16)\nmax_epochs = 4\n"
TOLD = ', about 2 min at 2 s a step, as in ' + EARLIER
EARLIER_RUNS = {
    'the same config': (CONFIG, LOG, TOLD),
    'more epochs': (CONFIG.replace('4', '400'), LOG, TOLD),
    'another batch': (CONFIG.replace('16', '8'), LOG, ''),
    'an entry that is cut off': (CONFIG, LOG[:-9], ''),
    'nothing logged': (CONFIG, '', ''),
    'entries of no run': (CONFIG, '[1]\n', ''),
    'a config of no run': ('import os\n', LOG, ''),
}


@pytest.mark.parametrize('case', EARLIER_RUNS)
def test_an_earlier_run_counts_where_its_steps_are_the_same(case, tmp_path):
    config, log, words = EARLIER_RUNS[case]
    for name, text in ((EARLIER, config), ('20260102_000000', CONFIG)):
        (tmp_path / name / 'vis_data').mkdir(parents=True)
        (tmp_path / name / 'vis_data' / 'config.py').write_text(text)
    (tmp_path / EARLIER / 'vis_data' / 'scalars.json').write_text(log)
    runner = SimpleNamespace(max_iters=60, iter=0, work_dir=tmp_path, log_dir=tmp_path / '20260102_000000')
    assert summary._expected(runner) == (words or ', how long they take is told after 10')


def test_the_last_line_tells_one_number_of_each_set_of_boxes():
    keys = ('mAP', 'mAP_50', 'mAP_s', 'mAP_l')
    assert [key for key in keys if summary.HEADLINE.search(f'val/teacher/coco/bbox_{key}')] == ['mAP']
    assert summary.HEADLINE.search('val/mIoU') and summary.HEADLINE.search('val/gap/teacher')
