"""A distillation from end to end on a device: a teacher is trained, its views are looked up, a student learns."""

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shake_mm import cli, compat
from shake_mm.grid.scalars import read_run

ROOT = Path(__file__).resolve().parents[1]
_CELL = """_base_ = ['{pair}', '{method}']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
"""
WHOLE = 240 * 50_000
"""Images of the benchmark's training: 240 epochs of 50,000."""


def train(name: str, pair: str, folder: Path, epochs: int, seconds: float) -> dict[str, Any]:
    """One of the runs, in a process of its own, as a user starts it.

    Args:
        name (str): ``'teacher'``, ``'live'`` or ``'cached'``.
        pair (str): Such as ``'resnet110_resnet20_digits100-32px'``.
        folder (Path): For work directories and the cache.
        epochs (int): How many.
        seconds (float): When to stop it.

    Returns:
        dict: Images a second of the training alone, minutes that :data:`WHOLE` would take, the accuracy, and seconds
        of the whole run.

    Raises:
        RuntimeError: If it fails, with the end of what it said.
    """
    work, options = folder / name, [f'train_cfg.max_epochs={epochs}']
    config = teacher_of(pair) if name == 'teacher' else str(cell(pair, folder))
    switches = ['--batched', *(['--cache-teachers', str(folder / 'cache')] if name == 'cached' else [])]
    if name != 'teacher':
        checkpoint = (folder / 'teacher' / 'last_checkpoint').read_text().strip()
        options.append(f'model.teachers.0.checkpoint={checkpoint}')
    start = time.perf_counter()
    _call(['tools/train.py', config, '--work-dir', str(work), *switches, '--cfg-options', *options], seconds)
    scalars = read_run(work)
    batch = _batch_size(work)
    times = scalars.column('time', 'train')[1]
    speed = batch / statistics.median(times[len(times) // 2 :])
    accuracy = {key: value for key, value in scalars.val[-1].items() if key.startswith('accuracy')}
    return {
        'images_a_second': speed,
        'minutes_for_240_epochs_of_50000': WHOLE / speed / 60,
        'epochs': epochs,
        'seconds': time.perf_counter() - start,
        **accuracy,
    }


def pair_file(pair: str) -> Path:
    """The file of a pair, below our configs."""
    return Path(compat.configs_dir()) / '_base_' / 'pairs' / f'{pair}.py'


def teacher_of(pair: str) -> str:
    """The config of a pair's teacher."""
    return cli.load_config(str(pair_file(pair))).teachers[0].config


def cell(pair: str, folder: Path) -> Path:
    """The config of SHAKE on a pair, written into a folder: not every pair has one that is kept."""
    method = pair_file(pair).parents[1] / 'methods' / 'shake.py'
    path = folder / f'shake_{pair}.py'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_CELL.format(pair=pair_file(pair).as_posix(), method=method.as_posix()), encoding='utf-8')
    return path


def _batch_size(work: Path) -> int:
    from mmengine.config import Config

    config = next(path for path in sorted(work.glob('*.py')))
    return Config.fromfile(config).train_dataloader.batch_size


def _call(argv: Sequence[str], seconds: float) -> None:
    done = subprocess.run(
        [sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, timeout=max(1.0, seconds), check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip()[-500:])
