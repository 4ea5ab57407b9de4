"""Train what a study lacks, within a budget of time."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import product
from pathlib import Path
from statistics import fmean, median

import torch

from analysis.evidence import records
from analysis.evidence.compose import PEERS, compose
from analysis.evidence.records import Record
from analysis.evidence.rows import Row
from analysis.evidence.studies import Study
from shake_mm.cli.run_grid import Plan
from shake_mm.grid.provenance import commit, hardware, versions
from shake_mm.grid.run import Run, clear
from shake_mm.grid.runs import train_all
from shake_mm.grid.scalars import Scalars, read_run

BATCHED = ('--batched',)
RESUMABLE = (
    'default_hooks.checkpoint.interval=1',
    'default_hooks.checkpoint.save_optimizer=True',
    'default_hooks.checkpoint.max_keep_ckpts=1',
)
"""Options of runs that go on within: every epoch leaves what the next one needs."""

_DIVERGENCE = re.compile(r'share/(?!task$)')
"""What the log calls the share of a term that is not the student's own."""

Task = tuple[int, str, Row]
"""Seed, pair and row."""


def missing(study: Study, folder: Path = records.FOLDER) -> Iterator[Task]:
    """What was not run so far: seed by seed, so that an interrupted study has whole comparisons."""
    known = {record.key for record in records.read(study.name, folder)}
    for seed, pair in product(study.seeds, study.pairs):
        for row in study.rows_of(pair):
            if (row.name, pair, seed) not in known:
                yield seed, pair, row


def train(
    study: Study,
    work_dir: Path,
    minutes: float,
    say: Callable[[str], object] = print,
    folder: Path = records.FOLDER,
    jobs: int = 1,
) -> int:
    """Train and record what a study lacks; no run begins once the time is over.

    The runs of a study for accelerators are stopped then too, and go on from their last epoch in the next call.

    Args:
        study (Study): The study.
        work_dir (Path): Where the runs, the teachers and their caches are.
        minutes (float): The budget.
        say (callable): Is told what was measured. Defaults to ``print``.
        folder (Path): Where the records are.
        jobs (int): How many trainings at a time. Defaults to 1.

    Returns:
        int: Number of runs that are still missing.

    Raises:
        RunFailed: If a training fails.
    """
    deadline, tasks = time.monotonic() + 60 * minutes, list(missing(study, folder))
    if not tasks or minutes <= 0:
        return len(tasks)
    runs, switches = planned(study, tasks, work_dir)
    done: list[Run] = []

    def watch(run: Run, state: str, _: Scalars) -> None:
        if run in runs and state in ('finished', 'skipped'):
            seed, pair, row = runs[run]
            record = record_of(study, row, pair, seed, run)
            records.add(study.name, record, folder)
            clear(run)
            done.append(run)
            left = len(runs) - len(done)
            value = f'{record.value:.2f} {study.unit}'
            say(f'{study.name}: {row.name}, {pair}, seed {seed}: {value}; {left} runs are missing')

    teachers = list(dict.fromkeys(teacher for run in runs for teacher in run.after))
    for level in (teachers, list(runs)):
        ready = [run for run in level if all(teacher.finished() for teacher in run.after)]
        train_all(ready, jobs=jobs, watch=watch, switches=switches, deadline=deadline, resume=study.gpu)
    return len(runs) - len(done)


def planned(study: Study, tasks: Sequence[Task], work_dir: Path) -> tuple[dict[Run, Task], dict[Run, tuple[str, ...]]]:
    """The runs of tasks, and the switches of each and of the teachers: how it reads its data, and its teacher."""
    # Studies on the same data share their teachers, unless they change what a teacher learns from.
    options = (*study.options, *RESUMABLE) if study.gpu else study.options
    plan = Plan(str(work_dir / (study.name if options else 'runs')), options)
    configs: dict[tuple[str, str], Path] = {}
    runs: dict[Run, Task] = {}
    switches: dict[Run, tuple[str, ...]] = {}
    for seed, pair, row in tasks:
        if (pair, row.name) not in configs:
            configs[pair, row.name] = compose(study, row, pair, work_dir / 'configs' / study.name)
        run = plan.add(str(configs[pair, row.name]), seed)
        runs[run] = seed, pair, row
        if study.batched:
            switches[run] = switches_of(row, work_dir / 'caches')
        if study.gpu:
            switches |= dict.fromkeys(run.after, BATCHED)
    return runs, switches


def switches_of(row: Row, caches: Path) -> tuple[str, ...]:
    """How a row is trained: batches cut on the device and, where that is all it reads, the teacher's logits kept."""
    return (*(() if row.contrasted else BATCHED), *(('--cache-teachers', str(caches)) if row.cached else ()))


def record_of(study: Study, row: Row, pair: str, seed: int, run: Run) -> Record:
    """What is kept of a finished run."""
    scalars = read_run(run.work_dir)
    last = scalars.last(run.epochs)
    steps = [step['time'] for step in scalars.train if isinstance(step.get('time'), float)]
    percent = 100 if study.metric.startswith('coco/') else 1
    # A peer that is trained along is not the pair's teacher: its figure and the gap to it tell nothing of that one.
    own = 'teacher/top1' if study.metric == 'accuracy/top1' else f'teacher/{study.metric}'
    teacher, gap = (None, None) if row.method in PEERS else (last.get(own), last.get('gap/teacher'))
    machine = hardware('cuda' if torch.cuda.is_available() else 'cpu')
    of = ', '.join(f'{name} {version}' for name, version in versions().items())
    return Record(
        row=row.name,
        pair=pair,
        seed=seed,
        value=round(last[study.metric] * percent, 4),
        gap=gap,
        step=median(steps) if steps else None,
        config=run.fingerprint[:12],
        commit=commit(),
        machine=f'{machine["hardware"]}, {machine["cores"]} cores; {of}',
        date=date.today().isoformat(),
        share=share_of(scalars),
        teacher=None if teacher is None else round(teacher * percent, 4),
    )


def share_of(scalars: Scalars) -> float | None:
    """The divergences' mean share in the gradient at the student's trunk; None where it was not measured."""
    logged = [[value for key, value in step.items() if _DIVERGENCE.match(key)] for step in scalars.train]
    shares = [sum(values) for values in logged if values]
    return round(fmean(shares), 4) if shares else None
