import json
import shutil
import sys
from pathlib import Path

import pytest

from analysis import build_table
from shake_mm import compat
from shake_mm.cli import run_grid

CONFIGS = Path(compat.configs_dir())
BASELINE = str(CONFIGS / 'baseline' / 'baseline_resnet14_resnet8_digits100.py')
SHAKE = str(CONFIGS / 'shake' / 'shake_resnet14_resnet8_digits100.py')
TWO_TEACHERS = str(CONFIGS / 'shake' / 'shake-2t_resnet14_resnet8_digits100.py')
DML = str(CONFIGS / 'dml' / 'dml_resnet14_resnet8_digits100.py')
TINY = [
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'train_dataloader.dataset.num_samples=128',
    'val_dataloader.dataset.num_samples=100',
]


@pytest.fixture
def plan(tmp_path):
    """Plan a grid, and give its runs by folder."""

    def plan(*argv):
        planned = run_grid.plan(run_grid.parse_args([*argv, '--work-dir', str(tmp_path)]))
        return {str(path.relative_to(tmp_path)): run for path, run in planned.runs.items()}, planned

    return plan


def test_teachers_come_first_and_once(plan, tmp_path):
    runs, planned = plan(BASELINE, SHAKE, '--seeds', '1', '2', '--cfg-options', 'model.tau=2', 'train_cfg.max_epochs=3')
    teacher = 'resnet14_digits100/seed0'
    assert list(runs) == [
        teacher,
        *(f'{m}_resnet14_resnet8_digits100/seed{s}' for s in (1, 2) for m in ('baseline', 'shake')),
    ]
    assert [len(level) for level in planned.levels()] == [1, 4]
    assert runs[teacher].options == ('train_cfg.max_epochs=3',)
    student = runs['shake_resnet14_resnet8_digits100/seed2']
    assert student.seed == 2 and student.after == (runs[teacher],)
    cfg = student.load()
    assert cfg.model.tau == 2 and cfg.model.teachers[0].checkpoint == f'{tmp_path}/{teacher}/epoch_3.pth'


def test_patterns_name_configs(plan):
    pattern = str(CONFIGS / 'd*' / 'd*_resnet14_resnet8_digits100.py')
    runs, _ = plan(pattern, '--exclude', 'dml-*', 'dist*', 'dot*', '--seeds', '0')
    assert list(runs) == [
        f'{name}/seed0'
        for name in ('resnet14_digits100', 'dkd_resnet14_resnet8_digits100', 'dml_resnet14_resnet8_digits100')
    ]


def test_peers_from_scratch_need_no_teacher(plan):
    assert list(plan(DML, '--seeds', '0')[0]) == ['dml_resnet14_resnet8_digits100/seed0']


def test_two_teachers_of_one_config_have_two_seeds(plan):
    runs, _ = plan(TWO_TEACHERS, '--seeds', '0')
    assert list(runs)[:2] == ['resnet14_digits100/seed0', 'resnet14_digits100/seed1']
    first, second = (teacher.checkpoint for teacher in list(runs.values())[-1].load().model.teachers)
    assert 'seed0' in first and 'seed1' in second


def test_a_single_teacher_may_stand_alone(plan, tmp_path):
    teacher = tmp_path / 'net_data.py'
    teacher.write_text("model = dict(type='Net')\ntrain_cfg = dict(max_epochs=1)\n")
    config = tmp_path / 'kd_net_net_data.py'
    config.write_text(
        f'model = dict(student=dict(), teachers=dict(config={str(teacher)!r}, checkpoint="a.pth"))\n'
        'train_cfg = dict(max_epochs=1)\n'
    )
    *_, run = plan(str(config), '--seeds', '0')[0].values()
    assert run.load().model.teachers.checkpoint == f'{tmp_path}/net_data/seed0/epoch_1.pth'


def test_a_teacher_that_is_a_cell_too_is_trained_once(plan):
    runs, _ = plan(BASELINE, str(CONFIGS / 'baseline' / 'resnet14_digits100.py'), '--seeds', '0')
    assert list(runs) == ['resnet14_digits100/seed0', 'baseline_resnet14_resnet8_digits100/seed0']


def test_errors_are_one_sentence(tmp_path, capsys):
    shutil.copy(DML, tmp_path)
    main = run_grid.main
    assert main(['missing.py', '--work-dir', str(tmp_path)]) == 1
    assert 'missing.py does not exist' in capsys.readouterr().err
    (tmp_path / Path(DML).name).write_text("model = dict(type='x')\n")
    assert main([DML, str(tmp_path / Path(DML).name), '--work-dir', str(tmp_path)]) == 1
    assert 'two configs are called dml_resnet14_resnet8_digits100' in capsys.readouterr().err


def test_a_real_grid(tmp_path, capfd):
    """A teacher and two students are trained, a second call trains nothing, and the table finds them."""
    main, folder = run_grid.main, tmp_path / 'grid'
    args = [BASELINE, SHAKE, '--seeds', '0', '--work-dir', str(folder), '--cfg-options', *TINY]
    assert main(args) == 0
    assert '3 runs trained, 0 finished earlier, 0 failed' in capfd.readouterr().out
    (session,) = json.loads((folder / 'grid.json').read_text())['sessions']
    assert session['trained'] == 3 and session['seconds'] > 0
    assert session['command'].startswith(f'python tools/run_grid.py {BASELINE}')

    assert main(args) == 0
    assert '0 runs trained, 3 finished earlier' in capfd.readouterr().out
    assert len(json.loads((folder / 'grid.json').read_text())['sessions']) == 1

    assert build_table.main([str(folder)]) == 0
    out = capfd.readouterr().out
    assert 'last epoch, 1 epoch;' in out and '\n| teacher  |' in out and '\n| shake    |' in out
    assert 'Left out' not in out and '3 runs, ' in out


def test_one_failure_does_not_end_the_others(tmp_path, capfd, monkeypatch):
    """What fails is told at the end, with the students of a teacher that failed; --fresh trains again."""
    script = tmp_path / 'train.py'
    script.write_text(
        'import pathlib, sys\n'
        "sys.exit('boom') if 'resnet14_digits100.py' in sys.argv[1].split('/') else None\n"
        "(pathlib.Path(sys.argv[3]) / 'epoch_20.pth').touch()\n"
    )
    monkeypatch.setattr(run_grid, 'TRAIN', (sys.executable, str(script)))
    args = [SHAKE, DML, '--seeds', '0', '--work-dir', str(tmp_path / 'grid')]
    for options, trained, earlier in ([], 1, 0), ([], 0, 1), (['--fresh'], 1, 0):
        assert run_grid.main([*args, *options]) == 1
        out, error = capfd.readouterr()
        assert f'{trained} runs trained, {earlier} finished earlier, 2 failed' in out
        assert 'resnet14_digits100, seed 0 failed (exit status 1)' in error and 'boom' in error
        assert 'shake_resnet14_resnet8_digits100, seed 0 was not trained, because its teacher failed' in error
        assert error.endswith('error: 2 of 3 runs failed, see above.\n')
