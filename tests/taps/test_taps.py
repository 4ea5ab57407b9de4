"""Taps: names, safety against in-place layers, release, copies."""

import copy

import pytest
import torch
from torch import nn

from shake_mm.engine import Taps
from shake_mm.errors import UsageError
from shake_mm.taps import Combined

ALIASES = {'logits': 'fc', 'feats': 'fc:input'}


class Net(nn.Module):
    """A BatchNorm followed by an in-place ReLU, and a layer that returns a tuple."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(3)
        self.relu = nn.ReLU(inplace=True)
        self.pair = Pair()
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        x = self.bn(x)
        x = self.relu(x)
        return self.fc(self.pair(x)[1])


class Pair(nn.Module):
    def forward(self, x):
        return x - 1, x + 1


@pytest.fixture
def taps():
    net = Net()
    return net, Taps({'student': net}, {'student': ALIASES})


def test_a_recorded_tensor_survives_in_place_layers(taps):
    net, taps = taps
    taps.request('student.bn')
    x = torch.randn(8, 3)
    with taps.recording():
        net(x)
        recorded = taps.tensor('student.bn')
    assert (recorded < 0).any()
    torch.testing.assert_close(recorded, nn.functional.batch_norm(x, None, None, training=True))


def test_gradient_flows_through_a_tap(taps):
    net, taps = taps
    taps.request('student.bn')
    with taps.recording():
        net(torch.randn(8, 3))
        taps.tensor('student.bn').square().sum().backward()
    assert net.bn.weight.grad.abs().sum() > 0 and net.fc.weight.grad is None


def test_aliases_inputs_and_elements(taps):
    net, taps = taps
    for name in ('student.logits', 'student.feats', 'student.pair', 'student.pair[0]'):
        taps.request(name)
    with taps.recording():
        out = net(torch.randn(8, 3))
        torch.testing.assert_close(taps.tensor('student.logits'), out)
        torch.testing.assert_close(net.fc(taps.tensor('student.feats')), out)
        assert isinstance(taps.raw('student.pair'), tuple)
        torch.testing.assert_close(taps.tensor('student.pair'), taps.raw('student.pair')[1])
        torch.testing.assert_close(taps.tensor('student.pair[0]') + 2, taps.tensor('student.pair'))


def test_a_tap_used_twice_hooks_once(taps):
    net, taps = taps
    for name in ('student.logits', 'student.fc', 'student.logits'):
        taps.request(name)
    assert len(net.fc._forward_hooks) == 1


def test_released_after_the_step_and_idle_outside(taps):
    net, taps = taps
    taps.request('student.logits')
    net(torch.randn(8, 3))
    with taps.recording():
        net(torch.randn(8, 3))
    with pytest.raises(UsageError, match='0 times'):
        taps.tensor('student.logits')


def test_released_after_an_error(taps):
    net, taps = taps
    taps.request('student.logits')
    with pytest.raises(RuntimeError), taps.recording():
        net(torch.randn(8, 3))
        raise RuntimeError
    assert all(not recorder.values for recorder in taps._recorders.values())


def test_a_layer_that_ran_twice_is_an_error(taps):
    net, taps = taps
    taps.request('student.logits')
    with taps.recording():
        net(torch.randn(8, 3))
        net(torch.randn(8, 3))
        with pytest.raises(UsageError, match='2 times'):
            taps.tensor('student.logits')


def test_each_time_that_a_layer_runs(taps):
    """Once a level, in a head that serves several."""
    net, taps = taps
    taps.request('student.logits:each')
    taps.request('student.logits:each[1]')
    inputs = [torch.randn(8, 3) for _ in range(3)]
    with taps.recording():
        outputs = [net(x) for x in inputs]
        assert all(map(torch.equal, taps.value('student.logits:each'), outputs))
        assert torch.equal(taps.value('student.logits:each[1]'), outputs[1])
    with taps.recording(), pytest.raises(UsageError, match='produced 0 times'):
        taps.value('student.logits:each')


def test_a_deep_copy_has_hooks_of_its_own(taps):
    holder = nn.Module()
    holder.net, holder.taps = taps
    holder.taps.request('student.logits')
    other = copy.deepcopy(holder)
    with other.taps.recording(), holder.taps.recording():
        out = other.net(torch.randn(8, 3))
        torch.testing.assert_close(other.taps.tensor('student.logits'), out)
        with pytest.raises(UsageError, match='0 times'):
            holder.taps.tensor('student.logits')


@pytest.mark.parametrize(
    'name, words',
    [
        ('student.fcc', 'did you mean fc'),
        ('student.logit', 'did you mean logits'),
        ('teacher0.fc', 'its members are student'),
        ('student', "'member.layer'"),
        ('student.fc[x]', "'member.layer'"),
    ],
)
def test_unknown_names_suggest_the_nearest(taps, name, words):
    with pytest.raises(UsageError, match=words):
        taps[1].request(name)


def test_elements_of_elements_and_all_arguments():
    class Head(nn.Module):
        def forward(self, x, scale):
            return [x * scale, x], (x + scale,)

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = Head()

        def forward(self, x):
            return self.head(x, torch.tensor(3.0))

    net = Two()
    aliases = {'logits': ('head[0][0]', 'head[0][1]'), 'scale': 'head:inputs[1]'}
    taps = Taps({'student': net}, {'student': aliases})
    for tap in ('student.logits', 'student.scale', 'student.head[1][0]', 'student.logits[1]'):
        taps.request(tap)
    x = torch.randn(2, 3)
    with taps.recording():
        net(x)
        assert isinstance(taps.raw('student.logits'), list)
        for found, expected in zip(taps.value('student.logits'), (3 * x, x), strict=True):
            torch.testing.assert_close(found, expected)
        torch.testing.assert_close(taps.value('student.logits[1]'), x)
        torch.testing.assert_close(taps.value('student.head[1][0]'), x + 3)
        assert taps.value('student.scale') == 3
    assert taps.layers('student.logits') == ['student.head[0][0]', 'student.head[0][1]']


def test_what_is_combined_is_one_tensor_for_all_readers_of_a_pass():
    """It is made once in a pass."""
    net, made = Net(), []

    def product(logits, features):
        made.append(logits @ features[:, :2].T)
        return made[-1]

    taps = Taps({'net': net}, {'net': {**ALIASES, 'product': Combined(('fc', 'fc:input'), product)}})
    taps.request('net.product')
    with taps.recording():
        net(torch.ones(4, 3))
        assert taps.tensor('net.product') is taps.raw('net.product') is made[0]
        assert all(value is made[0] for value in taps.value(['net.product', 'net.product'])) and len(made) == 1
    with taps.recording():
        net(torch.zeros(4, 3))
        assert taps.tensor('net.product') is made[1]
