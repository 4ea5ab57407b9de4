"""The lines of a distillation: what trains, how long it will take, what came out."""

import itertools
from types import SimpleNamespace

from shake_mm.hooks import summary

from ..support.runs import run_config, train


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


def test_the_last_line_tells_one_number_of_each_set_of_boxes():
    keys = ('mAP', 'mAP_50', 'mAP_s', 'mAP_l')
    assert [key for key in keys if summary.HEADLINE.search(f'val/teacher/coco/bbox_{key}')] == ['mAP']
    assert summary.HEADLINE.search('val/mIoU') and summary.HEADLINE.search('val/gap/teacher')
