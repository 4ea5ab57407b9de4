"""A tap of what a layer is given by name."""

import torch
from torch import nn

from shake_mm.taps import Taps


class Sum(nn.Module):
    """Adds in place what it is given by name."""

    def forward(self, x, *, other, plain=None):
        return x.add_(other)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.sum = Sum()

    def forward(self, x):
        return self.sum(x, other=2 * x, plain='as it is')


def test_they_are_a_dict_of_copies():
    net = Net()
    taps = Taps({'student': net}, {'student': {}})
    taps.request('student.sum:named')
    x = torch.ones(3)
    with taps.recording():
        net(x)
        found = taps.value('student.sum:named')
    assert found.keys() == {'other', 'plain'} and found['plain'] == 'as it is'
    assert torch.equal(found['other'], torch.full((3,), 2.0)) and torch.equal(x, torch.full((3,), 3.0))
