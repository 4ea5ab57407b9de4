"""What a report reads of a run's folder: the scalars that it logged, and the config that it kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from ..grid.scalars import Scalars, read_run
from ..safe_io.run_config import read_run_config

QUIET = ('work_dir', 'filename', 'experiment_name', 'launcher', 'log_level', 'load_from', 'resume')
"""Keys of a config that change nothing of what a run computes."""


class Run(NamedTuple):
    """A run.

    Args:
        name (str): Its folder's.
        scalars (Scalars): What it logged.
        config (dict): Its settings by dotted key; empty where it kept no config.
        folder (Path): Where it lies.
        kept (dict): The config itself.
    """

    name: str
    scalars: Scalars
    config: dict[str, Any]
    folder: Path
    kept: dict[str, Any]


def read(work_dir: str | Path) -> Run:
    """Read a run's folder.

    Raises:
        UsageError: If nothing was logged there.
    """
    folder = Path(work_dir)
    scalars = read_run(folder)
    if not scalars.train and not scalars.val:
        raise UsageError(
            f'WORK_DIR {work_dir}: no run has logged anything there (*/vis_data/scalars.json): name the folder of a '
            'run.'
        )
    copies = sorted(folder.glob('*/vis_data/config.py'))
    kept = read_run_config(copies[-1]) if copies else {}
    return Run(folder.resolve().name, scalars, flat(kept), folder, kept)


def flat(part: Any, before: str = '') -> dict[str, Any]:
    """The settings of a config by dotted key; lists count as one setting unless they hold dicts."""
    if isinstance(part, Mapping):
        entries = list(part.items())
    elif isinstance(part, list | tuple) and any(isinstance(item, Mapping) for item in part):
        entries = list(enumerate(part))
    else:
        return {before.removeprefix('.'): part}
    found: dict[str, Any] = {}
    for key, value in entries:
        if before or key not in QUIET:
            found |= flat(value, f'{before}.{key}')
    return found


def differences(runs: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """The settings in which configs differ, each with its value in every one of them, ``'-'`` where it is not set."""
    keys = dict.fromkeys(key for run in runs for key in run)
    rows = [(key, [repr(run[key]) if key in run else '-' for run in runs]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]
