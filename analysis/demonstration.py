"""Code that the demonstrations share: options, planning and training of runs, and error messages."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from rich.console import Console

from shake_mm.errors import UsageError
from shake_mm.grid.progress import Display
from shake_mm.grid.run import Run, clear
from shake_mm.grid.runs import TRAIN, RunFailed, failure, sigterm_interrupts, train_all
from shake_mm.grid.scalars import Row
from shake_mm.run_report import write_report
from shake_mm.safe_io import guard_loaders

REPORT = Path('report', 'report.html')
"""Below the folder of a demonstration."""
TEST = (sys.executable, '-m', 'shake_mm.cli.test')
"""The command that evaluates a checkpoint: what ``tools/test.py`` calls."""


def plan(args: argparse.Namespace, teacher: Path, methods: Mapping[str, Path]) -> tuple[Run, dict[str, list[Run]]]:
    """The teacher's run, and the students' by method.

    Args:
        args (Namespace): With the options of :func:`.options.add_arguments`.
        teacher (Path): The teacher's config.
        methods (dict[str, Path]): The students' configs by the method's name.
    """
    work_dir, options = Path(args.work_dir).resolve(), tuple(args.cfg_options)
    first = Run('teacher', teacher, work_dir / 'teacher', 0, options)
    students = {}
    for name, config in methods.items():
        # A student that is trained alone by a plain config neither knows the teacher nor changes with it.
        taught = 'teachers' in Config.fromfile(config).model
        added = (f'model.teachers.0.checkpoint={first.checkpoint}',) if taught else ()
        after = (first,) if taught else ()
        students[name] = [
            Run(f'{name}, seed {seed}', config, work_dir / f'{name.lower()}_seed{seed}', seed, options + added, after)
            for seed in args.seeds
        ]
    return first, students


def train(
    args: argparse.Namespace,
    teacher: Run,
    students: Mapping[str, list[Run]],
    console: Console,
    command: Sequence[str] = TRAIN,
) -> None:
    """Train all unfinished runs: the teacher on all cores, then the students side by side.

    Args:
        args (Namespace): With the options of :func:`.options.add_arguments`.
        teacher (Run): The teacher's run.
        students (dict[str, list[Run]]): The students' runs.
        console (Console): Where the progress is shown.
        command (sequence of str): What trains a config. Defaults to what ``tools/train.py`` calls.
    """
    runs = [run for seed in zip(*students.values(), strict=True) for run in seed]
    for run in [teacher, *runs] if args.fresh else []:
        clear(run)
    display = Display(console, [teacher, *runs])
    with display.bars:
        train_all([teacher], command, threads=args.jobs, watch=display)
        # Seed by seed, so that an interrupted demonstration has whole comparisons.
        train_all(runs, command, jobs=args.jobs, watch=display)


def evaluate_member(run: Run, member: str, threads: int = 1, command: Sequence[str] = TEST) -> Row:
    """Evaluate another member of a finished run on the test set; the result is kept until the run is trained again.

    Args:
        run (Run): The finished training.
        member (str): ``'proxy0'``, ``'teacher0'``, …
        threads (int): Threads to use. Defaults to 1.
        command (sequence of str): What evaluates a checkpoint. Defaults to what ``tools/test.py`` calls.

    Returns:
        dict[str, float]: The metrics.

    Raises:
        RunFailed: If it fails.
    """
    kept, log = run.work_dir / f'{member}.json', run.work_dir / f'{member}.log'
    if _kept(kept) is None:
        arguments = [str(run.config), str(run.checkpoint), '--member', member]
        arguments += ['--work-dir', str(run.work_dir / member), '--out', str(kept), '--out-item', 'metrics']
        arguments += ['--overwrite']  # of what an earlier evaluation left half written
        with log.open('wb') as output:
            process = subprocess.run(
                [*command, *arguments, '--cfg-options', *run.all_options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, 'OMP_NUM_THREADS': str(threads)},
            )
        if process.returncode:
            raise RunFailed(failure(f'{run.name}, evaluated as {member},', process.returncode, log))
    metrics = _kept(kept)
    if metrics is None:
        raise RunFailed(f'{run.name}, evaluated as {member}, wrote no metrics into {kept}.')
    return metrics


def _kept(path: Path) -> dict[str, float] | None:
    """Metrics of an earlier evaluation; None if there are none, or they are damaged."""
    try:
        metrics = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    return metrics if isinstance(metrics, dict) else None


def run(demonstrate: Callable[[argparse.Namespace, Console], Any], args: argparse.Namespace) -> int:
    """Run a demonstration, which loads files without running what is in them, and report an error in one sentence.

    Args:
        demonstrate (callable): Called as ``demonstrate(args, console)``.
        args (Namespace): The parsed command line.

    Returns:
        int: The exit status.
    """
    try:
        with guard_loaders(), sigterm_interrupts():
            demonstrate(args, Console())
    except KeyboardInterrupt:
        print('interrupted: all trainings were stopped, the finished ones are kept', file=sys.stderr)
        return 130
    except (RunFailed, UsageError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


def report(
    students: Mapping[str, list[Run]], out_dir: Path, console: Console, overwrite: bool, baseline: float | None = None
) -> None:
    """Write the report of the first seed's runs side by side, the last method first.

    Args:
        students (dict[str, list[Run]]): The students' finished runs, by method.
        out_dir (Path): Where it goes, into a folder of its own.
        console (Console): Where its place is told.
        overwrite (bool): Whether files that no tool of ours wrote may be replaced.
        baseline (float, optional): Accuracy of the student without teachers, drawn as a line.
    """
    folders = [runs[0].work_dir for runs in reversed(students.values())]
    page, _ = write_report(folders, out_dir / REPORT.parent, baseline=baseline, overwrite=overwrite)
    console.print(f'Report: {page}', soft_wrap=True)


def count_seeds(number: int) -> str:
    """``'1 seed'``, ``'3 seeds'``."""
    return f'{number} seed{"s" if number > 1 else ""}'
