"""No config that is right is refused: neither ours, nor those of the model zoos."""

import importlib.util
import random
from pathlib import Path

import pytest
from mmengine.config import Config

from shake_mm.checks.config import check_config
from shake_mm.checks.schema import check_schema

from ..support.stacks import runs_here
from .cells import CONFIGS

OURS = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
SAMPLE = [path for path in OURS[::12] if runs_here(path)]
ZOOS = ('mmpretrain', 'mmdet', 'mmseg')
DRAWN = 200


def zoo(package: str) -> list[Path]:
    """Configs that a package brings along, in an order drawn by its name."""
    root = Path(importlib.util.find_spec(package).origin).parent / '.mim' / 'configs'
    paths = sorted(path for path in root.rglob('*.py') if '_base_' not in path.parts)
    return random.Random(package).sample(paths, len(paths))


def check(path: Path) -> None:
    cfg = Config.fromfile(path)
    for mode in ('train', 'test'):
        check_config(cfg, mode)


def test_a_sample_of_our_configs():
    assert len(OURS) >= 500
    for path in SAMPLE:
        check(path)


@pytest.mark.slow
def test_all_our_configs():
    paths = list(filter(runs_here, OURS))
    assert len(paths) >= 500
    for path in paths:
        check(path)


@pytest.mark.slow
@pytest.mark.parametrize('package', ZOOS)
def test_configs_of_the_zoos(package: str):
    """Of what can be read here; some ask for other packages."""
    checked = 0
    for path in zoo(package):
        try:
            cfg = Config.fromfile(path)
        except Exception:  # of a package that is not installed, or of a form that mmengine no longer reads
            continue
        check_schema(cfg.to_dict())
        checked += 1
        if checked == DRAWN:
            break
    assert checked == DRAWN
