import pytest
import torch
from mmpretrain.models import TimmClassifier
from torch import nn

from shake_mm.compat.workarounds.wrapped_names import add_prefix
from tests.support.libraries import stand_in_for_timm


@pytest.fixture
def network(monkeypatch):
    stand_in_for_timm(monkeypatch)
    return TimmClassifier(model_name='any', num_classes=5)


@pytest.mark.parametrize('within', [False, True])
def test_what_is_saved_is_loaded(within, network):
    module = nn.ModuleDict({'student': network, 'other': nn.Linear(2, 2)}) if within else network
    state = {name: torch.randn_like(value.float()).to(value.dtype) for name, value in module.state_dict().items()}
    prefix = 'student.model.' if within else ''
    assert f'{prefix}stem.0.weight' in state
    module.load_state_dict(dict(state))
    assert torch.equal(network.model.head.weight, state[f'{prefix}head.weight'])
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


def test_without_it_a_part_of_another_model_cannot_be_loaded(network, monkeypatch):
    monkeypatch.setattr('shake_mm.compat.workarounds.wrapped_names.all', lambda names: False, raising=False)
    module = nn.ModuleDict({'student': network})
    with pytest.raises(RuntimeError, match='student.model.model.stem'):
        module.load_state_dict(module.state_dict())


def test_the_librarys_own_names_are_loaded_within_another_model(network):
    module = nn.ModuleDict({'student': network})
    own = {name: torch.randn_like(value.float()).to(value.dtype) for name, value in network.model.state_dict().items()}
    module.load_state_dict({f'student.{name}': value for name, value in own.items()})
    assert own and all(torch.equal(value, own[name]) for name, value in network.model.state_dict().items())


def test_other_names_are_left_alone():
    state = {'student.a': 1, 'student.model.b': 2, 'proxies.a': 3}
    add_prefix(state, 'student.')
    assert state == {'student.model.a': 1, 'student.model.model.b': 2, 'proxies.a': 3}
