"""Train several configs over seeds: ``python tools/run_grid.py CONFIG [CONFIG ...] --seeds 0 1 2 --jobs 2``.

The teachers that the configs name are trained first, once each, with their own configs. What is finished is not trained
again, so an interrupted grid goes on when it is started again. ``python -m analysis.build_table`` tabulates it.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from glob import glob
from pathlib import Path

from rich.console import Console

from ..errors import UsageError
from ..grid.progress import Display
from ..grid.provenance import forget_sessions, record_session, remove_draft
from ..grid.run import Run, clear, own_entries
from ..grid.runs import TRAIN, check_jobs, sigterm_interrupts, train_all
from ..grid.sharing import check_shared, groups_of, seated
from . import common
from .parsers import parse_run_grid as parse_args


class Plan:
    """Runs by work directory, those of teachers before those that need them.

    Args:
        work_dir (str): The grid's folder.
        options (sequence of str): ``key=value`` pairs.
        share (bool): Whether runs share teachers, and therefore draw their batches as ``--exact`` does.
        data_seed (int, optional): The seed of the batches in that case. Defaults to each run's.
    """

    def __init__(
        self, work_dir: str, options: Sequence[str], share: bool = False, data_seed: int | None = None
    ) -> None:
        self.work_dir = Path(work_dir).resolve()
        self.options, self.share, self.data_seed = tuple(options), share, data_seed
        self.runs: dict[Path, Run] = {}

    def add(self, config: str, seed: int, teacher: bool = False) -> Run:
        """Plan one training, and before it that of its teachers.

        Args:
            config (str): The config file.
            seed (int): The seed.
            teacher (bool): Whether it is planned as a teacher. Defaults to False.

        Raises:
            UsageError: If a config cannot be read, or another one has its name.
        """
        path = find_config(config)
        work_dir = self.work_dir / path.stem / f'seed{seed}'
        if work_dir in self.runs:
            if not self.runs[work_dir].config.samefile(path):
                raise UsageError(f'two configs are called {path.stem}: rename one of them.')
            return self.runs[work_dir]
        options = [option for option in self.options if not (teacher and option.startswith('model.'))]
        after = []
        for key, entry, number in trained_teachers(common.load_config(str(path)).get('model', {})):
            after.append(self.add(entry, number, teacher=True))
            options.append(f'{key}.checkpoint={after[-1].checkpoint}')
        shares = self.share and not teacher
        if shares and self.data_seed is not None:
            options.append(f'train_cfg.data_seed={self.data_seed}')
        name, switches = f'{path.stem}, seed {seed}', ('--exact',) if shares else ()
        run = Run(name, path, work_dir, seed, tuple(options), tuple(after), switches)
        self.runs[work_dir] = run
        return run

    def levels(self) -> list[list[Run]]:
        """The runs in groups, each of which needs only those before it."""
        levels: list[list[Run]] = []
        placed: set[Run] = set()
        while len(placed) < len(self.runs):
            ready = [run for run in self.runs.values() if run not in placed and placed.issuperset(run.after)]
            levels.append(ready)
            placed.update(ready)
        return levels


def expand(patterns: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Return the config files that match the patterns; a pattern without a match is kept as it is."""
    paths = [path for pattern in patterns for path in sorted(glob(pattern)) or [pattern]]
    return [path for path in paths if not any(fnmatch(Path(path).stem, name) for name in exclude)]


def find_config(config: str) -> Path:
    """Return a config's path; ``'package::file'`` is resolved as in ``_base_``."""
    return Path(common.config_file(config)).resolve()


def trained_teachers(model: dict) -> Iterator[tuple[str, str, int]]:
    """Find the teachers that start from a checkpoint.

    Args:
        model (dict): The config's model.

    Yields:
        tuple[str, str, int]: Key of the entry, the teacher's config, and the seed to train it with: 0, and for the
        second teacher of the same config 1, since two equal teachers would be one.
    """
    teachers = model.get('teachers') or ()
    several = not isinstance(teachers, dict)
    seeds: dict[str, int] = {}
    for i, entry in enumerate(teachers if several else [teachers]):
        if isinstance(entry, dict) and entry.get('checkpoint') and isinstance(entry.get('config'), str):
            seed = seeds.get(entry['config'], 0)
            seeds[entry['config']] = seed + 1
            yield f'model.teachers.{i}' if several else 'model.teachers', entry['config'], seed


def plan(args: argparse.Namespace) -> Plan:
    """All runs: seed by seed, so that an interrupted grid has whole comparisons."""
    if args.data_seed is not None and not args.share_teacher:
        raise UsageError('--data-seed is of --share-teacher: give both, or neither.')
    planned = Plan(args.work_dir, args.cfg_options, args.share_teacher, args.data_seed)
    for seed in args.seeds:
        for config in expand(args.configs, args.exclude):
            planned.add(config, seed)
    return planned


def train(planned: Plan, jobs: int, console: Console) -> dict[Run, str]:
    """Train all unfinished runs; a failure does not stop the others.

    Returns:
        dict[Run, str]: What failed, and why.
    """
    levels, failures = planned.levels(), {}
    display = Display(console, [run for level in levels for run in level])
    with display.bars:
        for level in levels:
            ready = []
            for run in level:
                failed = [teacher.name for teacher in run.after if teacher in failures]
                if failed:
                    failures[run] = f'{run.name} was not trained, because its teacher failed: {", ".join(failed)}'
                else:
                    ready.append(run)
            groups = groups_of([run for run in ready if not run.finished()], jobs) if planned.share else []
            for group in groups:
                with seated(group) as seats:
                    failures |= train_all(group, TRAIN, len(group), watch=display, keep_going=True, seats=seats)
            alone = [run for run in ready if not any(run in group for group in groups)]
            failures |= train_all(alone, TRAIN, jobs, watch=display, keep_going=True)
    return failures


def run_grid(args: argparse.Namespace, command: str, console: Console) -> None:
    """Plan and train the grid, and record how long it took.

    Raises:
        UsageError: If no run could begin, a folder is not a run's, or a run failed, after all others have been trained.
    """
    check_jobs(args.jobs)
    planned = plan(args)
    if args.share_teacher:
        check_shared(list(planned.runs.values()), args.jobs)
    remove_draft(planned.work_dir)
    if args.fresh:
        start_over(planned)
    unfinished = [run for run in planned.runs.values() if not run.finished()]
    for run in unfinished:  # before any of them begins
        own_entries(run)
    start = time.monotonic()
    try:
        with sigterm_interrupts():
            failures = train(planned, args.jobs, console)
    finally:
        seconds = time.monotonic() - start
        trained = sum(run.finished() for run in unfinished)
        if trained:
            record_session(planned.work_dir, command, seconds, trained)
    earlier = len(planned.runs) - len(unfinished)
    console.print(
        f'{trained} runs trained, {earlier} finished earlier, {len(failures)} failed; {seconds / 60:.1f} minutes.\n'
        f'Runs: {planned.work_dir}',
        soft_wrap=True,
        highlight=False,
    )
    if failures:
        print(*failures.values(), sep='\n\n', file=sys.stderr)
        raise UsageError(f'{len(failures)} of {len(planned.runs)} runs failed, see above.')


def start_over(planned: Plan) -> None:
    """Delete the results of earlier calls for these runs."""
    for run in planned.runs.values():
        clear(run)
    forget_sessions(planned.work_dir)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    command = shlex.join(['python', 'tools/run_grid.py', *argv])
    return common.run(lambda args: run_grid(args, command, Console()), parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
