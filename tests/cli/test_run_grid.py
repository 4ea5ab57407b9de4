import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from analysis import build_table
from shake_mm import compat
from shake_mm.cli import run_grid
from shake_mm.grid.sharing import PREFIX, groups_of, remove_stale
from shake_mm.members import make_group
from tests.support.kills import assert_same, final
from tools import train

CONFIGS = Path(compat.configs_dir())
BASELINE = str(CONFIGS / 'baseline' / 'baseline_resnet14_resnet8_digits100.py')
SHAKE = str(CONFIGS / 'shake' / 'shake_resnet14_resnet8_digits100.py')
KD = str(CONFIGS / 'kd' / 'kd_resnet14_resnet8_digits100.py')
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
    runs, _ = plan(pattern, '--exclude', 'dml-*', 'diffkd*', 'dist*', 'dot*', '--seeds', '0')
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


def test_runs_share_a_teacher_that_see_the_same_batches(plan):
    """A group for each seed, or one for all by a seed of the data; methods without a frozen teacher stay alone."""
    args = [SHAKE, KD, DML, '--seeds', '0', '1', '--share-teacher']
    runs, planned = plan(*args)
    (_, *students) = runs.values()
    assert all(run.switches == ('--exact',) for run in students) and not planned.levels()[0][0].switches
    named = lambda groups: [[run.work_dir.parts[-2].split('_')[0] + str(run.seed) for run in g] for g in groups]  # noqa: E731
    assert named(groups_of(students, 4)) == [['shake0', 'kd0'], ['shake1', 'kd1']]
    assert named(groups_of(students, 1)) == []
    runs, _ = plan(*args, '--data-seed', '7')
    (_, *students) = runs.values()
    assert all(run.load().train_cfg.data_seed == 7 for run in students)
    assert named(groups_of(students, 4)) == [['shake0', 'kd0', 'shake1', 'kd1']]
    assert named(groups_of(students, 3)) == [['shake0', 'kd0', 'shake1']]
    changed, _ = plan(SHAKE, '--seeds', '0')
    assert changed['shake_resnet14_resnet8_digits100/seed0'].fingerprint != students[1].fingerprint


def test_seats_are_held_by_the_runs_alone(plan, tmp_path, monkeypatch, capfd):
    """Each process inherits its own, which is free when that ends; nothing is left of the folder."""
    script = tmp_path / 'train.py'
    script.write_text(
        'import fcntl, pathlib, sys, time\n'
        'work, argv = pathlib.Path(sys.argv[3]), sys.argv\n'
        "if '--share-teacher' in argv:\n"
        "    seat = pathlib.Path(argv[argv.index('--share-teacher') + 1])\n"
        '    taken = []\n'
        '    for number in range(2):\n'
        '        with open(seat.parent / str(number)) as file:\n'
        '            try:\n'
        '                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)\n'
        '            except BlockingIOError:\n'
        '                taken.append(number)\n'
        "    (work / 'seat').write_text(f'{seat} {int(seat.name) in taken} {\"--exact\" in argv}')\n"
        "(work / 'epoch_20.pth').touch()\n"
    )
    monkeypatch.setattr(run_grid, 'TRAIN', (sys.executable, str(script)))
    folder = tmp_path / 'grid'
    assert run_grid.main([SHAKE, KD, DML, '--seeds', '0', '--work-dir', str(folder), '--share-teacher']) == 0
    told = [path.read_text().split() for path in sorted(folder.glob('*/seed0/seat'))]
    assert [words[1:] for words in told] == [['True', 'True']] * 2  # not the teacher, nor DML
    assert sorted(Path(words[0]).name for words in told) == ['0', '1']
    assert not any(Path(words[0]).parent.exists() for words in told)


def test_folders_of_grids_that_were_killed_are_removed(tmp_path):
    folders = {name: tmp_path / f'{PREFIX}{name}' for name in ('old', 'held', 'new')}
    for folder in folders.values():
        folder.mkdir()
    handles = {name: make_group(folder, ['a']) for name, folder in folders.items()}
    for name in ('old', 'new'):
        os.close(handles[name][0])
    for name in ('old', 'held'):
        os.utime(folders[name], (0, 0))
    remove_stale(tmp_path)
    os.close(handles['held'][0])
    assert {name for name, folder in folders.items() if folder.exists()} == {'held', 'new'}


@pytest.mark.slow
def test_a_real_grid_shares_its_teacher(tmp_path, capfd):
    """The students end with the bits of those that ``--exact`` alone trains, and a second call trains nothing."""
    folder = tmp_path / 'grid'
    args = [KD, SHAKE, '--seeds', '0', '--work-dir', str(folder), '--share-teacher', '--cfg-options', *TINY]
    assert run_grid.main(args) == 0
    assert '3 runs trained, 0 finished earlier, 0 failed' in capfd.readouterr().out
    run = folder / Path(KD).stem / 'seed0'
    assert 'One pass of a teacher serves' in (run / 'output.log').read_text()
    teacher = folder / 'resnet14_digits100' / 'seed0' / 'epoch_1.pth'
    options = ['randomness.seed=0', f'model.teachers.0.checkpoint={teacher}', *TINY]
    assert train.main([KD, '--exact', '--work-dir', str(tmp_path / 'alone'), '--cfg-options', *options]) == 0
    assert_same(final(run)['state_dict'], final(tmp_path / 'alone')['state_dict'])
    assert run_grid.main(args) == 0
    assert '0 runs trained, 3 finished earlier' in capfd.readouterr().out
