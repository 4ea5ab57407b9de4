"""A mutated config ends in one sentence, or in a run that trains: never in a traceback, and no file is lost before."""

from pathlib import Path

import pytest
from torch.optim.optimizer import register_optimizer_step_pre_hook

from .case import Case, try_in_process
from .mutants import LAST, Enough, mutated

SEEDS = [*range(20), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 120))]


@pytest.mark.parametrize('seed', SEEDS)
def test_a_mutated_config(seed: int, tmp_path: Path):
    told, steps = [], []

    def stop(*args: object) -> None:
        steps.append(1)
        if len(steps) > LAST:
            raise Enough('enough')

    def prepare(site):
        argv, what = mutated(site, seed)
        told.append(what)
        return argv

    handle = register_optimizer_step_pre_hook(stop)
    try:
        outcome = try_in_process(Case('config', 'mutated', prepare, '', ''), tmp_path)
    except Exception as error:
        raise AssertionError(f'{told}: {type(error).__name__}: {error}') from error
    finally:
        handle.remove()
    right = outcome.status == 0 or outcome.errors == ['error: enough']
    assert right or (outcome.status in (1, 2) and len(outcome.errors) == 1), (told, outcome)
    assert steps or right or not outcome.changed, (told, outcome)
