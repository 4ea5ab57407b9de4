"""Provenance of results: command, wall time, commit, machine and versions, kept beside the runs in ``grid.json``."""

import json
import os
import platform
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import stack
from ..atomic import DRAFT
from ..errors import UsageError
from ..locks import locked
from ..outputs import write_text

FILE = 'grid.json'
_SESSION = dict(command=str, seconds=int | float, trained=int, versions=dict, machine=dict)
PACKAGES = ('mmengine', 'mmcv', 'mmpretrain', 'mmdet')
ROOT = Path(__file__).resolve().parents[2]


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that results depend on."""
    found = {'python': platform.python_version(), 'torch': torch.__version__, 'numpy': np.__version__}
    return {**found, **{name: package.version for name in PACKAGES if (package := stack.find(name))}}


def hardware(device: str) -> dict[str, Any]:
    """Describe the machine that a figure is measured on."""
    name = torch.cuda.get_device_name(device) if device.startswith('cuda') else _cpu_name()
    load = round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None
    return {
        'hardware': name,
        'cores': os.cpu_count(),
        'load_average': load,
        'device': device,
        'torch': torch.__version__,
    }


def _cpu_name() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            return next(line.partition(':')[2].strip() for line in file if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str | None:
    """The commit of this checkout, with ``-dirty`` where files were changed; None in an installed package."""
    if not (ROOT / '.git').exists():
        return None
    command = ['git', '-C', str(ROOT), 'describe', '--always', '--dirty']
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def record_session(folder: Path, command: str, seconds: float, trained: int) -> None:
    """Add one call to the folder's ``grid.json``; an interrupted grid takes several.

    Args:
        folder (Path): The grid's work directory.
        command (str): The command line.
        seconds (float): Wall time.
        trained (int): How many runs it finished.
    """
    session = {
        'command': command,
        'seconds': round(seconds, 1),
        'trained': trained,
        'commit': commit(),
        'versions': versions(),
        'machine': hardware('cuda' if torch.cuda.is_available() else 'cpu'),
    }
    with locked(folder, 'a grid', wait=60):  # two calls that end at once
        try:
            earlier = read_sessions(folder)
        except UsageError:  # what was trained counts more than what was noted before, which is kept beside it
            earlier = []
            (folder / FILE).rename(folder / f'{FILE}.damaged-{time.time_ns()}')
        write_text(folder / FILE, json.dumps({'sessions': [*earlier, session]}, indent=2) + '\n')


def read_sessions(folder: Path) -> list[dict[str, Any]]:
    """The calls that were recorded in ``folder``, the first one first.

    Raises:
        UsageError: If the record is damaged.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {'sessions': []}
        sessions = content['sessions']
        # What holds more was written by others, and would lose it as soon as a call is added.
        whole = len(content) == 1 and all(map(_is_session, sessions))
    except (ValueError, LookupError, TypeError, RecursionError):
        whole = False
    if not whole or not isinstance(sessions, list):
        raise UsageError(f'{path} is damaged, so it is unknown how the runs beside it were trained: move it away.')
    return sessions


def _is_session(session: dict[str, Any]) -> bool:
    typed = all(isinstance(session[key], kind) for key, kind in _SESSION.items())
    return typed and max(abs(session['seconds']), abs(session['trained'])) < 2**40 and session['command'].isprintable()


def remove_draft(folder: Path) -> None:
    """Remove what a killed call has left half written."""
    draft = folder / f'{FILE}{DRAFT}'
    if draft.is_file():
        with locked(folder, 'a grid', wait=60):
            draft.unlink(missing_ok=True)


def forget_sessions(folder: Path) -> None:
    """Delete the record of earlier calls; a file of its name that no grid wrote stays."""
    path = folder / FILE
    with suppress(UsageError):
        if read_sessions(folder) and not path.is_symlink():
            path.unlink()


def describe(root: Path) -> list[str]:
    """One sentence for each command that was recorded below ``root``: what, how long, where; or that it is unknown."""
    sentences = []
    for path in sorted(root.rglob(FILE)):
        try:
            sessions = read_sessions(path.parent)
        except UsageError as error:
            sentences.append(str(error).replace(f'{root}{os.sep}', ''))
            continue
        if not sessions:
            continue
        minutes = sum(session['seconds'] for session in sessions) / 60
        trained = sum(session['trained'] for session in sessions)
        machine, of = sessions[-1]['machine'], sessions[-1]['versions']
        commands = ', then '.join(dict.fromkeys(f'`{session["command"]}`' for session in sessions))
        commits = dict.fromkeys(session['commit'] for session in sessions if session.get('commit'))
        calls = f' in {len(sessions)} calls' if len(sessions) > 1 else ''
        sentences.append(
            f'{commands}: {trained} runs, {minutes:.1f} minutes of wall time{calls}; {machine.get("hardware")}, '
            f'{machine.get("cores")} cores, {machine.get("device")}; '
            + ', '.join(f'{name} {version}' for name, version in of.items())
            + (f'; commit {", ".join(commits)}' if commits else '')
        )
    return sentences
