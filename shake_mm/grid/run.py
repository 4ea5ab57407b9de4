"""One training of a grid: what is trained, in which folder, and whether that is done."""

import hashlib
import json
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .. import locks
from ..atomic import DRAFT, checkpoint_names
from ..engine.stages import total_epochs
from ..errors import UsageError
from ..explain import one_line
from ..options import parse_option
from ..outputs import is_ours

DONE = 'finished.json'
"""The grid's own note in a run's folder."""
_LOG = 'output.log'
# A start's logs, and what evaluates a member of it; what names the last checkpoint; the grid's own notes.
_WRITTEN = r'\d{8}_\d{6}|(teacher|proxy|peer)\d+(\.json|\.log)?|last_checkpoint(\.part)?|finished\.json|output\.log'


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        name (str): For people, e.g. ``'SHAKE, seed 0'``.
        config (Path): The config file.
        work_dir (Path): Where it logs.
        seed (int): Its seed.
        options (tuple[str, ...]): ``key=value`` pairs, as ``--cfg-options`` takes them.
        after (tuple[Run, ...]): Runs whose results it uses: where they change, it is trained again.
        switches (tuple[str, ...]): Switches of ``tools/train.py``, such as ``'--exact'``.
    """

    name: str
    config: Path
    work_dir: Path
    seed: int
    options: tuple[str, ...] = ()
    after: tuple['Run', ...] = field(default=(), repr=False)
    switches: tuple[str, ...] = ()

    @property
    def all_options(self) -> list[str]:
        """All ``key=value`` options, including the seed."""
        return [*self.options, f'randomness.seed={self.seed}']

    def load(self) -> Config:
        """The config as it will be trained."""
        cfg = Config.fromfile(self.config)
        try:
            cfg.merge_from_dict(dict(map(parse_option, self.all_options)))
        except Exception as error:  # mmengine's own, of many kinds, for keys that lead into a value
            raise UsageError(
                f'--cfg-options do not fit config {self.config}: {one_line(error)}: correct them'
            ) from error
        return cfg

    @cached_property
    def epochs(self) -> int:
        """How many epochs it trains, with those that its stages add."""
        return total_epochs(self.load())

    @property
    def checkpoint(self) -> Path:
        """The last epoch's checkpoint."""
        return self.work_dir / f'epoch_{self.epochs}.pth'

    @property
    def log(self) -> Path:
        """The file of all that it prints."""
        return self.work_dir / _LOG

    @cached_property
    def fingerprint(self) -> str:
        """Identify what is trained: config text, seed, and the same of the runs before it."""
        text = '\n'.join([self.load().pretty_text, *self.switches, *(run.fingerprint for run in self.after)])
        return hashlib.sha256(text.encode()).hexdigest()

    def finished(self) -> bool:
        """Whether its work directory holds the finished training of this very config and seed."""
        return noted(self).get('fingerprint') == self.fingerprint and self.checkpoint.is_file()


def own_entries(run: Run) -> list[Path]:
    """What earlier trainings of a run wrote into its folder; other files and links do not count.

    Raises:
        UsageError: If the folder is not a run's: it holds files, but no training was started there by a grid.
    """
    folder = run.work_dir
    entries = [path for path in folder.iterdir() if path.name != locks.FILE] if folder.is_dir() else []
    if entries and not run.log.is_file():
        raise UsageError(
            f'{run.name}: {folder} holds {entries[0].name}, but no run of a grid: move that, or name another folder by '
            '--work-dir.'
        )
    hook = (run.load().get('default_hooks') or {}).get('checkpoint') or {}
    written = re.compile(f'{_WRITTEN}|({checkpoint_names(hook)})({re.escape(DRAFT)})?')
    names = {path for path in entries if written.fullmatch(path.name) and not path.is_symlink()}
    kept = folder / f'{run.config.stem}.py'
    return [*names, *([kept] if kept.is_file() and is_ours(kept) else [])]


def clear(run: Run) -> None:
    """Delete what earlier trainings of a run wrote, and nothing else."""
    for path in own_entries(run):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def noted(run: Run) -> dict[str, Any]:
    """What a grid has noted of a run; nothing where there is none, or it is damaged."""
    with suppress(OSError, ValueError):
        noted = json.loads((run.work_dir / DONE).read_text())
        return noted if isinstance(noted, dict) else {}
    return {}
