"""AdversarialLoss: the two players' losses, and whom each of them moves."""

import torch

from shake_mm.losses import AdversarialLoss

from .compare import pair


def test_value_and_gradients():
    torch.manual_seed(0)
    loss = AdversarialLoss((3, 5, 5), loss_weight=0.5).double()
    s, t = pair((4, 3, 5, 5), (4, 3, 5, 5))
    t.requires_grad_()
    found = loss(s, t)
    judge = loss.discriminator
    d_s, d_t = judge(s).flatten(), judge(t).flatten()
    player = 0.5 * sum((1 - x) ** 2 for x in d_s) / 4
    referee = 0.5 * (sum((1 - x) ** 2 for x in d_t) + sum(x**2 for x in d_s)) / 4
    torch.testing.assert_close(found, player + referee)
    parameters = list(judge.parameters())
    (g_s,) = torch.autograd.grad(player, s, retain_graph=True)
    g_d = torch.autograd.grad(referee, parameters)
    found.backward()
    torch.testing.assert_close(s.grad, g_s)
    for parameter, gradient in zip(parameters, g_d):
        torch.testing.assert_close(parameter.grad, gradient)
    assert t.grad is None and s.grad.abs().max() > 0


def test_the_weight_is_linear_and_the_larger_map_is_pooled():
    loss = AdversarialLoss((3, 4, 4)).double()
    s, t = pair((4, 3, 4, 4), (4, 3, 8, 8))
    small = torch.nn.functional.avg_pool2d(t, 2)
    value = loss(s, small)
    torch.testing.assert_close(loss(s, t), value)
    torch.testing.assert_close(loss(torch.cat([s, s]), torch.cat([t, t])), value)
    loss.loss_weight = 0.3
    torch.testing.assert_close(loss(s, t), 0.3 * value)
