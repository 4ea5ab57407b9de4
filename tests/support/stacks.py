"""What a stack cannot do: its tests are skipped by name, with the reason."""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from packaging.version import Version

from shake_mm import stack

TORCH = Version(torch.__version__)
NAME = stack.name()


def needs_torch(version: str, reason: str) -> pytest.MarkDecorator:
    """Skip a test where torch is older, and say what is not there yet."""
    return pytest.mark.skipif(Version(version) > TORCH, reason=f'torch {TORCH} is older than {version}: {reason}')


def not_on(name: str, reason: str) -> pytest.MarkDecorator:
    """Skip a test on a stack, and say what it lacks."""
    return pytest.mark.skipif(name == NAME, reason=f'the {name} stack: {reason}')


def only_on(name: str, reason: str) -> pytest.MarkDecorator:
    """Skip a test on the other stacks, and say what it is about."""
    return pytest.mark.skipif(name != NAME, reason=f'not the {name} stack: {reason}')


def _autocasts_to_float16() -> bool:
    try:
        with torch.autocast('cpu', torch.float16):
            return True
    except RuntimeError:
        return False


AUTOCASTS = (torch.float16, torch.bfloat16) if _autocasts_to_float16() else (torch.bfloat16,)
"""Dtypes that this torch's autocast has on the CPU."""

needs_float16 = pytest.mark.skipif(
    torch.float16 not in AUTOCASTS, reason=f'torch {TORCH} neither convolves nor autocasts in float16 on the CPU'
)

HALVES = tuple(
    pytest.param(
        dtype,
        marks=pytest.mark.skipif(dtype not in AUTOCASTS, reason=f'torch {TORCH} has no autocast to it on the CPU'),
    )
    for dtype in (torch.float16, torch.bfloat16)
)
"""The same for ``parametrize``, those that are lacking skipped by name."""

needs_mmrazor = pytest.mark.skipif(stack.find('mmrazor') is None, reason=f'the {NAME} stack has no mmrazor')


def read_counters() -> None:
    """Let torch before 2.5 read safely, as later ones do, the Counter that a schedule of milestones keeps."""
    if Version('2.5') > TORCH:
        torch._weights_only_unpickler._get_allowed_globals().setdefault('collections.Counter', Counter)


def runs_here(config: Path) -> bool:
    """Whether a config asks for nothing of mmrazor's where this stack has none, for tests that go over many."""
    return stack.find('mmrazor') is not None or "'mmrazor." not in Config.fromfile(config).text


def skip_for_lack(error: Exception) -> None:
    """Skip a test that ended in the lack of what is mmrazor's, where this stack has none."""
    refused = str(error).endswith(stack.NO_MMRAZOR.removeprefix('shake_mm '))
    unknown = isinstance(error, KeyError) and re.search(r'\bmmrazor\.\w+ is not in the ', str(error))
    if NAME == 'onedl' and (refused or unknown):
        pytest.skip(f'the {NAME} stack has no mmrazor')
