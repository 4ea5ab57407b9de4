import os
import signal
import sys
import time

import pytest

from shake_mm.errors import UsageError
from shake_mm.grid.run import Run
from shake_mm.grid.runs import RunFailed, sigterm_interrupts, train_all
from shake_mm.locks import locked

SCRIPT = """
import os, pathlib, sys, time
config, work_dir = sys.argv[1], pathlib.Path(sys.argv[3])
(work_dir / 'pid').write_text(str(os.getpid()))
options = dict(option.split('=') for option in sys.argv[5:])
print('the end')
if options.get('fail'):
    sys.exit(3)
time.sleep(float(options.get('sleep', 0)))
(work_dir / 'epoch_2.pth').touch()
"""


@pytest.fixture
def make_run(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('train_cfg = dict(max_epochs=2)\n')

    def make(name, *options, seed=0, after=()):
        return Run(name, config, tmp_path / name, seed, options, after)

    return make


@pytest.fixture
def train(tmp_path):
    """Train and return the states that were told; a stand-in for tools/train.py does the work."""
    script = tmp_path / 'train.py'
    script.write_text(SCRIPT)
    command = [sys.executable, str(script)]

    def train(*runs, **kwargs):
        states = []
        train_all(runs, command, interval=0.01, watch=lambda run, state, _: states.append((run.name, state)), **kwargs)
        return [(name, state) for name, state in states if state != 'running']

    return train


def test_finished_runs_are_skipped_unless_the_config_or_the_seed_differs(make_run, train):
    assert sorted(train(make_run('a'), make_run('b'), jobs=2)) == [('a', 'finished'), ('b', 'finished')]
    assert train(make_run('a')) == [('a', 'skipped')]
    assert train(make_run('a', seed=1)) == [('a', 'finished')]
    assert train(make_run('a', 'x=1', seed=1)) == [('a', 'finished')]
    teacher = make_run('b', seed=2)
    assert train(make_run('a', 'x=1', seed=1, after=(teacher,))) == [('a', 'finished')]


def test_unfinished_runs_begin_anew(make_run, train):
    run = make_run('a')
    train(run)
    run.checkpoint.unlink()
    assert train(make_run('a')) == [('a', 'finished')]


def test_a_failure_stops_the_others(make_run, train, tmp_path):
    start = time.monotonic()
    with pytest.raises(RunFailed, match=r'(?s)bad failed \(exit status 3\).*the end'):
        train(make_run('long', 'sleep=60'), make_run('bad', 'fail=1'), jobs=2)
    assert time.monotonic() - start < 30
    pid = tmp_path / 'long' / 'pid'
    if pid.exists():  # it may have been stopped before it could write
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
    assert not make_run('bad').finished()


def test_a_failure_can_be_passed_over(make_run, train, tmp_path):
    """The others are trained, and what failed is returned and told."""
    states = train(make_run('bad', 'fail=1'), make_run('good'), keep_going=True)
    assert sorted(states) == [('bad', 'failed'), ('good', 'finished')]
    command = [sys.executable, str(tmp_path / 'train.py')]
    bad = make_run('bad', 'fail=1')
    failures = train_all([bad, make_run('good')], command, interval=0.01, keep_going=True)
    assert list(failures) == [bad] and 'bad failed (exit status 3)' in failures[bad] and 'the end' in failures[bad]
    assert train_all([make_run('good')], command) == {}


def test_sigterm_interrupts():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) is before


def test_only_what_a_run_wrote_is_deleted(make_run, train, tmp_path):
    """A user's notes, links and what they lead to stay; a folder that is no run's is refused before anything begins."""
    run, elsewhere = make_run('a'), tmp_path / 'elsewhere'
    train(run)
    elsewhere.mkdir()
    (elsewhere / 'epoch_7.pth').write_bytes(b'precious')
    for name in ('20260101_000000', 'epoch_1.pth'):
        (run.work_dir / name).symlink_to(elsewhere)
    for name in ('notes.txt', 'a.py', 'weights.pth', 'paper.pth.part'):
        (run.work_dir / name).write_text('mine')
    (run.work_dir / '20260102_000000').mkdir()
    (run.work_dir / 'best_accuracy_epoch_1.pth').touch()
    run.checkpoint.unlink()
    train(make_run('a'))
    assert {p.name for p in run.work_dir.iterdir()} == {
        *('20260101_000000', 'epoch_1.pth', 'notes.txt', 'a.py', 'weights.pth', 'paper.pth.part'),
        *('pid', 'epoch_2.pth', 'output.log', 'finished.json'),
    }
    assert (elsewhere / 'epoch_7.pth').read_bytes() == b'precious'
    other = make_run('b')
    other.work_dir.mkdir()
    (other.work_dir / 'epoch_2.pth').write_text('mine')
    with pytest.raises(UsageError, match='b: .*b holds epoch_2.pth, but no run of a grid: move that'):
        train(other)
    assert [p.name for p in other.work_dir.iterdir()] == ['epoch_2.pth']


def test_a_log_that_is_a_link_is_not_written_through(make_run, train, tmp_path):
    run, target = make_run('a'), tmp_path / 'target'
    run.work_dir.mkdir()
    target.write_text('mine')
    (run.work_dir / 'output.log').symlink_to(target)
    with pytest.raises(UsageError, match='output.log is a link'):
        train(run)
    assert target.read_text() == 'mine'


def test_a_run_that_is_being_trained_is_left_alone(make_run, train, tmp_path):
    """By another grid, whose run it is too; the others are trained."""
    run = make_run('a')
    train(run)
    run.checkpoint.unlink()
    before = (run.work_dir / 'output.log').read_bytes()
    with locked(run.work_dir, 'a training'):
        assert sorted(train(make_run('a'), make_run('b'), keep_going=True)) == [('a', 'failed'), ('b', 'finished')]
        with pytest.raises(UsageError, match='is in use by a training'):
            train(make_run('a'))
    assert (run.work_dir / 'output.log').read_bytes() == before


@pytest.mark.parametrize('jobs', [0, -1])
def test_no_trainings_at_a_time_are_refused(make_run, train, jobs):
    with pytest.raises(UsageError, match=f'--jobs is {jobs}, .* give 1 or more'):
        train(make_run('a'), jobs=jobs)


def test_a_damaged_log_stops_no_other_run(make_run, train):
    train(make_run('a'), make_run('b'))
    log = make_run('a').work_dir / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('broken\n')
    (make_run('b').work_dir / 'finished.json').write_text('[]')
    assert sorted(train(make_run('a'), make_run('b'))) == [('a', 'skipped'), ('b', 'finished')]


def test_options_that_lead_into_a_value(make_run):
    with pytest.raises(UsageError, match='--cfg-options do not fit config'):
        make_run('a', 'train_cfg.max_epochs.x=1').load()
    assert make_run('a', 'data_root=/my data/(1,2)').load().data_root == '/my data/(1,2)'


EPOCHS = """
import pathlib, sys, time
folder, options = pathlib.Path(sys.argv[3]), sys.argv
assert sys.argv[4:6] == ['--resume', 'auto']
if 'fail=1' in options:
    sys.exit(3)
for epoch in (1, 2):
    if not (folder / f'epoch_{epoch}.pth').exists():
        with open(folder.parent / 'log', 'a') as log:
            log.write(f'{epoch}')
        (folder / f'epoch_{epoch}.pth').touch()
        time.sleep(60 if epoch == 1 else 0)
"""
"""Two epochs, of which the first one's end is waited for in vain."""


def test_a_run_goes_on_from_its_last_epoch(make_run, tmp_path):
    (tmp_path / 'epochs.py').write_text(EPOCHS)

    def train_until(run, seconds, command=(sys.executable, '-S', str(tmp_path / 'epochs.py'))):
        states = []
        train_all(
            [run],
            command,
            watch=lambda run, state, _: states.append(state),
            deadline=time.monotonic() + seconds,
            resume=True,
        )
        return states[-1]

    assert train_until(make_run('a'), 2) == 'stopped'
    assert (tmp_path / 'log').read_text() == '1' and not make_run('a').finished()
    assert train_until(make_run('a'), 60) == 'finished'
    assert (tmp_path / 'log').read_text() == '12' and make_run('a').finished()
    assert train_until(make_run('a'), 0, ('false',)) == 'skipped', 'a finished run is left alone'
    # another seed's training begins anew
    assert train_until(make_run('a', seed=1), 2) == 'stopped'
    assert (tmp_path / 'log').read_text() == '121'
    with pytest.raises(RunFailed, match='exit status 3'):
        train_until(make_run('b', 'fail=1'), 60)


def test_no_run_begins_after_the_deadline(make_run, train):
    """The one that is running then is awaited."""
    runs = [make_run('a', 'sleep=1'), make_run('b')]
    assert train(*runs, deadline=time.monotonic() + 0.5) == [('a', 'finished')]
    assert train(*runs) == [('a', 'skipped'), ('b', 'finished')]


def test_switches_are_of_their_run(make_run, tmp_path):
    script = tmp_path / 'train.py'
    script.write_text(
        "import sys\nopen(sys.argv[sys.argv.index('--work-dir') + 1] + '/epoch_2.pth', 'w')\nprint(sys.argv)"
    )
    first, second = make_run('a'), make_run('b')
    train_all([first, second], (sys.executable, str(script)), interval=0.01, switches={first: ('--batched',)})
    assert "'--batched', " in first.log.read_text() and '--batched' not in second.log.read_text()
