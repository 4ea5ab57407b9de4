"""Younger names of torch: torch's own where it has them, and elsewhere something that does the same."""

import importlib
import math
import re
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

from shake_mm.compat import torch_names

from .processes import ROOT

HOMES = {
    'tree_leaves': 'torch.utils._pytree',
    'get_total_norm': 'torch.nn.utils',
    'is_autocast_available': 'torch.amp',
}
Pair = namedtuple('Pair', 'first second')


@pytest.fixture(params=['as torch has them', 'as if torch had none'])
def names(request, monkeypatch):
    """The module as it is, and as it is beside a torch without any of the names."""
    if request.param == 'as torch has them':
        yield torch_names
        return
    with monkeypatch.context() as patch:
        for name, home in HOMES.items():
            patch.delattr(importlib.import_module(home), name, raising=False)
        patch.delattr(nn.Module, 'set_submodule', raising=False)
        yield importlib.reload(torch_names)
    importlib.reload(torch_names)


def test_nothing_of_ours_takes_them_from_torch():
    """What runs beside today's torch alone would be noticed on the classic stack at the earliest."""
    taken = '|'.join(
        [
            *(rf'{home}( import .*|\.){name}\b'.replace('torch.', r'(torch\.)?') for name, home in HOMES.items()),
            r'\w\.set_submodule\(',
            r'nn\.ChannelShuffle\(',
        ]
    )
    assert re.search(taken, 'from torch.nn.utils import clip, get_total_norm') and re.search(taken, 'x.set_submodule(')
    assert re.search(taken, 'if torch.amp.is_autocast_available(device)')
    files = [path for part in ('shake_mm', 'benchmarks', 'analysis', 'tools') for path in (ROOT / part).rglob('*.py')]
    found = {path.name for path in files if re.search(taken, path.read_text(encoding='utf-8'))}
    assert found == {'torch_names.py'}


@pytest.mark.parametrize('name', HOMES)
def test_torchs_own_name_is_used_where_there_is_one(name):
    own = getattr(importlib.import_module(HOMES[name]), name, None)
    assert own is None or getattr(torch_names, name) is own


def test_leaves_in_their_order(names):
    tree = dict(a=[1, (2, None)], b=OrderedDict(c=3, d=[]), e=Pair(4, dict(f=5)))
    assert names.tree_leaves(tree) == [1, 2, None, 3, 4, 5] and names.tree_leaves(7) == [7]


def test_norm_of_all_as_of_one_vector(names):
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(shape, generator=generator).double() for shape in ((3, 4), (5,), (), (2, 1, 2))]
    together = torch.cat([tensor.flatten() for tensor in tensors]).abs()
    for norm_type, expected in (
        (2.0, together.square().sum().sqrt()),
        (1.0, together.sum()),
        (math.inf, together.max()),
    ):
        found = names.get_total_norm(tensors, norm_type)
        assert found.shape == () and torch.allclose(found, expected)
    assert names.get_total_norm([]) == 0


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_norm_of_what_is_not_finite(names, bad):
    assert not names.get_total_norm([torch.ones(3), torch.tensor([1.0, bad])]).isfinite()


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
def test_all_are_finite_or_not_and_none_is_changed(names, bad):
    tensors = [torch.tensor([1.0, -0.0, 3e38]), torch.tensor([], dtype=torch.double), torch.ones(2, dtype=torch.half)]
    before = [tensor.clone() for tensor in tensors]
    assert names.all_finite(tensors) and not names.all_finite([*tensors, torch.tensor([[1.0, bad]])])
    assert all(torch.equal(one, other) for one, other in zip(tensors, before)) and torch.signbit(tensors[0][1])


@pytest.mark.parametrize(
    'good', [torch.ones(2, dtype=torch.complex64), torch.ones(1).expand(3)], ids=['complex', 'expanded']
)
def test_what_amp_cannot_look_at_is_looked_at_by_its_norm(good):
    assert torch_names.all_finite([good]) and not torch_names.all_finite([good * math.nan])


def test_without_amps_operation_the_norm_serves(monkeypatch):
    monkeypatch.delattr(torch, '_amp_foreach_non_finite_check_and_unscale_')
    assert torch_names.all_finite([torch.ones(2)]) and not torch_names.all_finite([torch.tensor([1.0, math.inf])])


def test_which_devices_have_autocast(names):
    assert names.is_autocast_available('cpu') and names.is_autocast_available('cuda')
    assert not names.is_autocast_available('meta')


def test_autocast_is_switched_off_and_meta_has_none(names):
    with torch.autocast('cpu', torch.bfloat16), names.autocast_off('cpu'):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with names.autocast_off('meta'):
        assert torch.ones(2, device='meta').sum().dtype == torch.float32


@pytest.mark.parametrize('name', ['0', '1.conv', '1.conv.1'])
def test_a_module_in_the_place_of_another(names, name):
    inner = nn.Module()
    inner.conv = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    network, module = nn.Sequential(nn.ReLU(), inner), nn.Identity()
    before = [key for key, _ in network.named_modules() if not key.startswith(f'{name}.')]
    names.set_submodule(network, name, module)
    assert network.get_submodule(name) is module and [key for key, _ in network.named_modules()] == before


@pytest.mark.parametrize('own', [True, False])
@pytest.mark.parametrize('groups', [1, 2, 3])
def test_shuffled_channels_can_be_trained_and_dry_run(monkeypatch, own, groups):
    if not own:
        monkeypatch.setattr(torch_names, '_trains_channel_shuffle', lambda: False)
    x = torch.randn(2, 6, 3, 5, requires_grad=True)
    shuffle, weight = torch_names.ChannelShuffle(groups), torch.randn(2, 6, 3, 5)
    found = shuffle(x)
    order = [group * (6 // groups) + i for i in range(6 // groups) for group in range(groups)]
    assert torch.equal(found, x[:, order]) and torch.equal(nn.ChannelShuffle(groups)(x.detach()), found)
    (found * weight).sum().backward()
    assert torch.equal(x.grad[:, order], weight)
    assert shuffle(torch.empty(2, 6, 3, 5, device='meta')).shape == found.shape
