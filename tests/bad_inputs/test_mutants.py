"""A mutated input ends in one sentence, or in a run as it should be: never in a traceback, and no file is lost."""

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from .case import Case, Outcome, try_in_process
from .mutants import CACHE, KINDS, LAST, METHODS, PAGE, TOOLS, Enough, Mutant, cached, stopped
from .site import Site

FAST = dict(config=20, cache=10, annotations=12, results=8, resumed=6, weights=4)
SLOW = dict(config=120, cache=100, annotations=160, results=160, resumed=90, weights=60)
"""How many of each kind; ``tests/safe_io/test_forged.py`` reads 300 mutated checkpoints besides."""
SEEDS = [
    pytest.param(kind, seed, marks=() if seed < FAST[kind] else pytest.mark.slow)
    for kind in KINDS
    for seed in range(SLOW[kind])
]


@contextmanager
def gradients() -> Iterator[list[float]]:
    """Note the sum of all gradients before each update, the last of which ends the run."""
    sums: list[float] = []

    def note(optimizer: torch.optim.Optimizer, *args: object) -> None:
        grads = [part.grad for group in optimizer.param_groups for part in group['params'] if part.grad is not None]
        sums.append(float(sum(grad.double().abs().sum() for grad in grads)))
        if len(sums) > LAST:
            raise Enough('enough')

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield sums
    finally:
        handle.remove()


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> dict[str, bytes]:
    """The files of a cache that a run has filled."""
    folder = tmp_path_factory.mktemp('whole')
    outcome = try_in_process(Case('mutant', 'none', lambda site: cached(site, {}), '', ''), folder)
    assert outcome.status == 0 and not outcome.errors
    return {path.name: path.read_bytes() for path in (folder / CACHE).iterdir()}


@pytest.fixture(scope='module')
def unchanged(whole, tmp_path_factory) -> list[float]:
    """The gradients of a run whose teacher's logits come from the whole cache."""
    case = Case('mutant', 'none', lambda site: cached(site, whole), '', '')
    with gradients() as sums:
        assert try_in_process(case, tmp_path_factory.mktemp('unchanged')).status == 0
    return sums


@pytest.fixture(scope='module')
def first(tmp_path_factory) -> bytes:
    """The checkpoint of a run's first epoch."""
    folder = tmp_path_factory.mktemp('first')
    assert try_in_process(Case('mutant', 'none', stopped, '', ''), folder).status == 0
    return (folder / 'earlier' / 'epoch_1.pth').read_bytes()


@pytest.mark.parametrize('kind, seed', SEEDS)
def test_a_mutant(kind: str, seed: int, request: pytest.FixtureRequest, tmp_path: Path):
    made = {'cache': 'whole', 'resumed': 'first'}
    given = request.getfixturevalue(made[kind]) if kind in made else seed
    wanted = request.getfixturevalue('unchanged') if kind == 'cache' else None
    with gradients() as sums:
        outcome, mutant = tried(kind, seed, tmp_path, given)
    right = outcome.status == 0 or outcome.errors == ['error: enough']
    assert right or (outcome.status in (1, 2) and len(outcome.errors) == 1), (mutant.told, outcome)
    # A run that has begun keeps its config anew.
    lost = [name for name in outcome.changed if name != 'earlier/run.py']
    assert sums or right or not lost, (mutant.told, outcome)
    if right and wanted is not None:  # what was damaged has been computed again
        assert sums == wanted, (mutant.told, outcome)
    if kind == 'results':
        check_table(tmp_path, mutant, outcome)


def tried(kind: str, seed: int, folder: Path, given: Any) -> tuple[Outcome, Mutant]:
    """What comes of a mutant."""
    mutants: list[Mutant] = []

    def prepare(site: Site) -> list[str]:
        mutants.append(KINDS[kind](site, random.Random(f'{kind}{seed}'), given))
        return mutants[0].argv

    try:
        outcome = try_in_process(Case('mutant', kind, prepare, '', '', TOOLS.get(kind, 'train')), folder)
    except Exception as error:
        raise AssertionError(f'{mutants}: {type(error).__name__}: {error}') from error
    return outcome, mutants[0]


def check_table(folder: Path, mutant: Mutant, outcome: Outcome) -> None:
    """A table is made, with the runs that are as they were."""
    assert outcome.status == 0 and not outcome.changed, (mutant.told, outcome)
    page = (folder / PAGE).read_text(encoding='utf-8')
    for place, method in enumerate(METHODS):
        row = rf'(?m)^\| {method} +\| +{90 + place}\.00 '
        assert method == mutant.lost or re.search(row, page), (mutant.told, page)
