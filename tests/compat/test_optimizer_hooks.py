import pytest

from .processes import python

COMPILED = """
torch.compile(lambda x: x + 1, backend='eager')(weight)
"""
HOOKED = """
import torch
weight = torch.nn.Parameter(torch.ones(1))
sgd = torch.optim.SGD([weight], lr=1.0)
{}
adam = torch.optim.Adam([weight], lr=1.0)
seen = []
for optimizer in (sgd, adam):
    optimizer.register_step_pre_hook(lambda optimizer, *args: seen.append(optimizer))
    optimizer.step()
assert seen == [sgd, adam], seen
"""


@pytest.mark.parametrize('first', ['shake_mm', 'torch.compile'])
def test_optimizers_call_their_hooks_after_something_was_compiled(first):
    """Those made before it, and those made after it."""
    ours = 'import shake_mm'
    code = HOOKED.format(f'{ours}\n{COMPILED}' if first == 'shake_mm' else f'{COMPILED}\n{ours}')
    result = python(code)
    assert result.returncode == 0, result.stderr
