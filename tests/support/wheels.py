"""A wheel of this checkout, built from a copy of its sources."""

import shutil
import subprocess
import sys
from pathlib import Path

from .environments import ROOT

SOURCES = ('analysis', 'benchmarks', 'configs', 'requirements', 'shake_mm', 'tools')
FILES = ('README.md', 'setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'CITATION.cff', 'model-index.yml')


def copy_sources(folder: Path) -> Path:
    """Copy what is built, so that a build leaves nothing in this checkout."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def build_wheel(source: Path, folder: Path) -> Path:
    """Build the wheel of sources by pip, which asks no package index."""
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', str(folder)]
    result = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (wheel,) = folder.glob('shake_mm-*.whl')
    return wheel
