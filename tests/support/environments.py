"""Environments in which a package is missing: this one's packages under links, but for some."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import mmengine

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(mmengine.__file__).parents[1]
"""Where the packages of this environment lie."""


def without(folder: Path, *packages: str) -> Path:
    """Link everything installed into a folder, except for some packages and their metadata."""
    folder.mkdir()
    for entry in SHARED.iterdir():
        name = entry.name.partition('-')[0].lower()
        if name not in packages and entry.suffix != '.pth':
            (folder / entry.name).symlink_to(entry)
    return folder


def python(packages: Path, *arguments: str, cwd: Path = ROOT, own: Sequence[Path] = (ROOT,)):
    """Run Python on the packages of a folder, and on this checkout, alone."""
    path = [*map(str, own), str(packages)]
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(path), 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': 'ignore'}
    command = [sys.executable, '-S', *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=600)
