"""A bad input, how it is tried, and what must come of it."""

import contextlib
import importlib
import importlib.util
import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest import mock

import pytest
import torch
from mmengine.registry import DefaultScope
from torch.optim.optimizer import register_optimizer_step_pre_hook

from shake_mm.outputs import HEADER

from .site import Site

ROOT = Path(__file__).resolve().parents[2]
SENTINELS = {
    'earlier/epoch_7.pth': b'an earlier checkpoint',
    'earlier/run.py': HEADER.encode() + b'earlier = 1\n',
    'earlier/20260101_000000/run.log': b'an earlier log',
}
"""What an earlier run left in the work directory."""


class Case(NamedTuple):
    """A bad input.

    Args:
        category (str): One of eight.
        name (str): What is wrong, in words.
        prepare (callable): Makes it in a :class:`Site` and returns the command line.
        names (str): What the sentence must name: the key or the file.
        remedy (str): A part of the sentence that tells what to do.
        tool (str): The script below ``tools``, or a module such as ``analysis.sweep``.
    """

    category: str
    name: str
    prepare: Callable[[Site], list[str]]
    names: str
    remedy: str
    tool: str = 'train'


class Outcome(NamedTuple):
    """What came of a case.

    Args:
        status (int): The exit status.
        errors (list[str]): What was written to stderr, line by line.
        steps (int): Optimizer steps that were taken; -1 if that is not known.
        changed (list[str]): Files that were there before and are not, or differ.
        checkpoints (list[str]): Files that a training would have written.
    """

    status: int
    errors: list[str]
    steps: int
    changed: list[str]
    checkpoints: list[str]

    def verdict(self, case: Case) -> str:
        """What is wrong with the outcome, or ``'pass'``."""
        faults = {
            f'exit status {self.status}': self.status == 0,
            f'{self.steps} optimizer steps': self.steps > 0,
            f'changed {self.changed}': self.changed,
            f'wrote {self.checkpoints}': self.checkpoints,
            f'{len(self.errors)} lines on stderr': len(self.errors) != 1,
            f'does not name {case.names}': case.names not in ' '.join(self.errors),
            f'does not say "{case.remedy}"': case.remedy not in ' '.join(self.errors),
        }
        return ', '.join(fault for fault, holds in faults.items() if holds) or 'pass'


def load_tool(name: str) -> ModuleType:
    """Import a script of ``tools``, or a module such as ``analysis.sweep``, without running it."""
    if '.' in name:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def try_in_process(case: Case, folder: Path) -> Outcome:
    """Call the tool's ``main`` and let what it raises pass, as the interpreter would show it."""
    steps = []
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        site = Site(folder, patch)
        argv, before = _prepared(case, site)
        patch.chdir(folder)
        stack.callback(register_optimizer_step_pre_hook(lambda *args: steps.append(1)).remove)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter('ignore')
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        err = stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(mock.patch('mmengine.runner.runner.collect_env', dict))
        stack.enter_context(DefaultScope.overwrite_default_scope(None))
        try:
            status = load_tool(case.tool).main(argv)
        except SystemExit as stop:
            status = stop.code
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
    return _outcome(folder, before, status, err.getvalue(), len(steps))


def try_in_own_process(case: Case, folder: Path) -> Outcome:
    """Run the tool as a user does."""
    with pytest.MonkeyPatch.context() as patch:
        site = Site(folder, patch)
        argv, before = _prepared(case, site)
        environ = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    tool = ['-m', case.tool] if '.' in case.tool else [str(ROOT / 'tools' / f'{case.tool}.py')]
    command = [sys.executable, *tool, *argv]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environ, timeout=300)
    return _outcome(folder, before, done.returncode, done.stderr, -1)


def _prepared(case: Case, site: Site) -> tuple[list[str], dict[Path, bytes]]:
    for name, content in SENTINELS.items():
        site.write(name, content)
    argv = case.prepare(site)
    return argv, {path: path.read_bytes() for path in site.path.rglob('*') if path.is_file()}


def _outcome(folder: Path, before: dict[Path, bytes], status: int, err: str, steps: int) -> Outcome:
    changed = [str(path.relative_to(folder)) for path, content in before.items() if _content(path) != content]
    new = [path for path in folder.rglob('*') if path.is_file() and path not in before]
    written = [str(path.relative_to(folder)) for path in new if path.suffix == '.pth' or path.name == 'last_checkpoint']
    return Outcome(status, err.splitlines(), steps, changed, written)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
