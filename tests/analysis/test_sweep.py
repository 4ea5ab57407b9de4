"""The sweep as a command: what it asks run_grid to train, and what it writes."""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from analysis import sweep
from shake_mm.cli import run_grid

TRAIN = """
import json, pathlib, re, sys
config, work_dir, options = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[3]), sys.argv[5:]
with open({log!r}, 'a') as log:
    log.write(work_dir.parent.name + '/' + work_dir.name + chr(10))
options = dict(option.split('=') for option in options)
seed = int(options['randomness.seed'])
point = re.findall('-tau(.*)-lam([^_]*)_', config.name)
assert not point or pathlib.Path(options['model.teachers.0.checkpoint']).is_file()
part = work_dir / '20260101_000000' / 'vis_data'
part.mkdir(parents=True)
score = 80 + sum(map(float, point[0])) + seed / 10 if point else 99.0
(part / 'scalars.json').write_text(json.dumps({{'accuracy/top1': score, 'step': 2}}) + chr(10))
model = "dict(student=dict())" if point else "dict()"
(work_dir / config.name).write_text(
    f'model = {{model}}\\ntrain_cfg = dict(max_epochs=2)\\nrandomness = dict(seed={{seed}})'
)
(work_dir / 'epoch_2.pth').touch()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A config, and what was trained: a training takes no time, and run_grid runs in this process."""
    log = tmp_path / 'trained.txt'
    script = tmp_path / 'train.py'
    monkeypatch.setattr(run_grid, 'TRAIN', (sys.executable, str(script)))
    script.write_text(TRAIN.format(log=str(log)))

    @contextmanager
    def start(command):
        assert command[1:3] == ['-m', 'shake_mm.cli.run_grid']
        yield SimpleNamespace(wait=lambda: run_grid.main(command[3:]))

    monkeypatch.setattr(sweep, 'subprocess', SimpleNamespace(Popen=start))
    teacher = tmp_path / 'big_digits100.py'
    teacher.write_text("model = dict(type='Net')\ntrain_cfg = dict(max_epochs=2)\n")
    config = tmp_path / 'shake_big_small_digits100.py'
    config.write_text(
        f"teachers = [dict(config={str(teacher)!r}, checkpoint='a')]\n"
        "model = dict(type='shake_mm.SHAKE', student=dict(), teachers=teachers)\n"
        'train_cfg = dict(max_epochs=2)\n'
    )
    return config, lambda: log.read_text().splitlines()


def test_a_sweep_trains_once_and_writes_table_and_image(project, tmp_path, capfd):
    config, trained = project
    page, image = tmp_path / 'docs' / 'sweep.md', tmp_path / 'docs' / 'img' / 'sweep.png'
    common = ['--seeds', '0', '1', '--jobs', '8', '--work-dir', str(tmp_path / 'w')]
    args = ['--tau', '1', '4', '--lam', '0.5', '1', '--out', str(page), '--plot', str(image)]
    assert sweep.main([str(config), *args, *common]) == 0, capfd.readouterr().err
    points = ('tau1-lam1', 'tau4-lam0.5', 'tau4-lam1')
    students = [f'shake-{point}_big_small_digits100/seed{seed}' for seed in (0, 1) for point in points]
    assert trained()[0] == 'big_digits100/seed0' and sorted(trained()[1:]) == sorted(students)
    text = page.read_text()
    assert text.partition('-->\n\n')[2].startswith(
        '# Sensitivity to τ and λ\n\nbig → small. Top-1 accuracy in % on digits100, last epoch, 2 ep'
    )
    assert '![Sensitivity to τ and λ](img/sweep.png)' in text and image.read_bytes().startswith(b'\x89PNG')
    assert '| 1 | 82.05 ± 0.07 |     2 |' in text and '| 0.5 | 84.55 ± 0.07 |     2 |' in text
    assert '- `python -m analysis.sweep' in text and ': 7 runs, ' in text

    capfd.readouterr()
    assert sweep.main([str(config), '--tau', '4', '--lam', '1', *common]) == 0
    assert len(trained()) == 7 and '| 4 | 85.05 ± 0.07 |     2 |' in capfd.readouterr().out


def test_errors_are_one_sentence(project, tmp_path, capfd):
    config, _ = project
    args = ['--tau', '1', '--lam', '1', '--seeds', '0', '--work-dir', str(tmp_path / 'w')]
    assert sweep.main(['missing.py', *args]) == 1
    assert 'missing.py does not exist' in capfd.readouterr().err
    (tmp_path / 'train.py').write_text("raise SystemExit('boom')")
    assert sweep.main([str(config), *args]) == 1
    error = capfd.readouterr().err
    assert 'boom' in error and error.endswith('start the sweep again to train what is missing.\n')
