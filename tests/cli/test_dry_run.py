"""``--dry-run``, and the console of a training: few lines before the first loss, and one at either end."""

import re

import pytest
from mmengine.logging import MMLogger

from shake_mm.cli import train
from shake_mm.compat.preferences import apply_preferences

from ..support.tiny import CLASSIFIERS


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'tiny.py').write_text(CLASSIFIERS)
    return 'tiny.py'


MEMBERS = r'student \(22.9 k\) learns from teacher0 \(181.1 k, trained along\) by 1 task \+ 1 student_from_teacher'


def test_a_dry_run_tells_and_writes_nothing(config, tmp_path, capsys):
    long = ['train_cfg.max_epochs=3000', 'train_dataloader.dataset.num_samples=64']
    assert train.main([config, '--dry-run', '--cfg-options', *long]) == 0
    out = capsys.readouterr().out
    assert 'Checkpoints will be saved' not in out
    (line,) = [line for line in out.splitlines() if line.startswith('dry run: ')]
    assert re.search(MEMBERS, line) and re.search(r'3 steps passed \(loss [\d.]+, student.loss [\d.]+', line)
    each, number, unit = re.search(r': ([\d.]+) s each, ([\d.]+) (min|h) for all 12000', line).groups()
    assert float(number) * (60 if unit == 'min' else 3600) == pytest.approx(12000 * float(each), rel=0.2)
    assert re.search(r'peak memory [\d.]+ GB', line)
    assert [path.name for path in tmp_path.iterdir()] == ['tiny.py']


def test_a_dry_run_refuses_what_a_run_does(config, tmp_path, capsys):
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work' / 'epoch_1.pth').write_text('of nobody')
    assert train.main([config, '--dry-run', '--work-dir', 'work']) == 1
    assert 'epoch_1.pth is a checkpoint of no run' in capsys.readouterr().err


def test_the_console_is_brief_and_the_file_is_not(config, tmp_path, capsys):
    assert train.main([config]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(i for i, line in enumerate(lines) if 'Epoch(train)' in line)
    assert first <= 20 and any(
        re.search(rf'{MEMBERS}.* 1 epochs of 2 steps; log and config: ', x) for x in lines[:first]
    )
    assert re.search(
        r'student/top1 [\d.]+.*The weights: \S+epoch_1.pth. Next: `python -m shake_mm export tiny.py', lines[-1]
    )
    (log,) = (tmp_path / 'work_dirs').rglob('*.log')
    text = log.read_text()
    assert 'System environment:' in text and 'Config:\n' in text and 'Hooks will be executed' in text


def test_what_others_tell_in_many_lines_stays(tmp_path, capsys):
    """Tables of metrics, for example."""
    apply_preferences()
    logger = MMLogger('brief', log_file=str(tmp_path / 'a.log'), log_level='INFO')
    logger.info('a\nb\nc\nd\ne')
    assert len(capsys.readouterr().out.splitlines()) == 5
