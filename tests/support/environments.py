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


def lite(folder: Path, *packages: str) -> Path:
    """The same with mmcv as mmcv-lite has it: without operators."""
    without(folder, 'mmcv', *packages)
    (folder / 'mmcv').mkdir()
    for entry in (SHARED / 'mmcv').iterdir():
        if entry.name != 'ops' and not entry.name.startswith('_ext.'):
            (folder / 'mmcv' / entry.name).symlink_to(entry)
    return folder


def fresh(folder: Path, wheel: Path | None = None, like: Path | None = None) -> Path:
    """An environment of its own that sees another one's packages, but no checkout; returns its folder of programs.

    Args:
        folder (Path): Where to make it.
        wheel (Path, optional): What to install into it.
        like (Path, optional): Python of the environment whose packages it sees. Defaults to this one's.
    """
    code = "import importlib.util; print(importlib.util.find_spec('mmengine').submodule_search_locations[0])"
    python = like or Path(sys.executable)
    subprocess.run([python, '-m', 'venv', '--without-pip', '--symlinks', folder], check=True)
    found = subprocess.run([python, '-c', code], check=True, capture_output=True, text=True)
    (site,) = folder.glob('lib/python*/site-packages')
    (site / 'shared.pth').write_text(f'import site; site.addsitedir({str(Path(found.stdout.strip()).parent)!r})\n')
    if wheel is not None:
        install(folder / 'bin', '--no-index', '--no-deps', '--find-links', str(wheel.parent), 'shake_mm')
    return folder / 'bin'


def install(programs: Path, *what: str) -> subprocess.CompletedProcess:
    """Install by this environment's pip into another one."""
    command = [sys.executable, '-m', 'pip', '--python', str(programs / 'python'), 'install', '--quiet', *what]
    result = subprocess.run(command, capture_output=True, text=True)
    if '--no-index' in what:
        assert result.returncode == 0, result.stderr
    return result


def run(programs: Path, *command: object, cwd: Path) -> subprocess.CompletedProcess:
    """Run a program of an environment, which sees nothing of this process's."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(('PYTHON', 'VIRTUAL_ENV'))}
    path = os.pathsep.join([str(programs), own.get('PATH', '')])
    env = {**own, 'PATH': path, 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': 'ignore', 'HOME': str(cwd)}
    program = programs / str(command[0])
    return subprocess.run([str(program), *map(str, command[1:])], capture_output=True, text=True, cwd=cwd, env=env)


def python(packages: Path, *arguments: str, cwd: Path = ROOT, own: Sequence[Path] = (ROOT,)):
    """Run Python on the packages of a folder, and on this checkout, alone."""
    path = [*map(str, own), str(packages)]
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(path), 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': 'ignore'}
    command = [sys.executable, '-S', *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=600)
