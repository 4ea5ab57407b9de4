"""What a config may leave out: constructor arguments that the taps tell have no default, all others have one."""

import inspect

import pytest

from shake_mm import connectors
from shake_mm.registry import MODELS

INFERRED = {'in_channels', 'out_channels', 'in_shape', 'out_shape', 'in_norm', 'classifier', 'behind'}
INFERRED |= {'behind_each'}


@pytest.mark.parametrize('name', connectors.__all__)
def test_only_shapes_are_required(name):
    cls = MODELS.get(f'shake_mm.{name}')
    assert cls is getattr(connectors, name)
    parameters = inspect.signature(cls).parameters.values()
    assert {p.name for p in parameters if p.default is p.empty} <= INFERRED
