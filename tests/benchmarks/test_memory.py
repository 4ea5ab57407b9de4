"""Peak of a step on the CPU: which tensors count, and for how long."""

import torch
from torch import nn

from benchmarks.memory import LiveTensors, peak_bytes

KIB = 2**10


def peak(step):
    return peak_bytes(step, 'cpu')


def test_what_lives_at_once():
    def step():
        a = torch.zeros(256)  # 1 KiB
        b = torch.cat([a, a])  # 2 more
        del a
        c = b + 1  # 2 more, while 1 is gone
        del b
        return c.sum()  # 4 bytes, while b is gone

    assert peak(step) == 4 * KIB


def test_views_inputs_and_changes_in_place_are_free():
    weight = torch.zeros(256)

    def step():
        weight.add_(1).view(16, 16)[2:].t().mul_(2)
        a = weight.clone()
        return a.unflatten(0, (2, -1)).add_(1)

    assert peak(step) == KIB


def test_activations_live_until_the_backward_pass():
    layers = nn.Sequential(*(layer for _ in range(3) for layer in (nn.Linear(64, 64, bias=False), nn.Sigmoid())))
    x = torch.randn(256, 64)  # an activation is 64 KiB, a weight 16

    def forward():
        with torch.no_grad():
            layers(x)

    def step():
        layers(x).backward(torch.ones_like(x))
        layers.zero_grad()

    assert peak(forward) == 2 * 64 * KIB  # input and output of a layer
    assert 4 * 64 * KIB <= peak(step) <= 6 * 64 * KIB + 3 * 16 * KIB  # the backward pass needs those of the sigmoids
    assert peak(step) == peak(step)


def test_nothing_is_left():
    with LiveTensors() as live:
        torch.zeros(256).sum()
    assert live.now == 0 and live.peak == KIB + 4
