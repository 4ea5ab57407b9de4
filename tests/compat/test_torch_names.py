"""Younger names of torch: torch's own where it has them, and elsewhere something that does the same."""

import importlib
import math
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

from shake_mm.compat import torch_names

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


@pytest.mark.parametrize('groups', [1, 2, 3])
def test_channels_are_shuffled_on_the_meta_device_too(monkeypatch, groups):
    x = torch.randn(2, 6, 3, 5)
    shuffle, expected = torch_names.ChannelShuffle(groups), nn.ChannelShuffle(groups)(x)
    assert torch.equal(shuffle(x), expected)
    meta = shuffle(x.to('meta').requires_grad_())
    assert meta.shape == expected.shape and meta.stride() == expected.stride() and meta.requires_grad
    monkeypatch.setattr(torch.Tensor, 'is_meta', property(lambda x: True))
    assert torch.equal(shuffle(x), expected)
