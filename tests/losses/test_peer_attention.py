"""OKDDip's loss among peers, sample by sample and peer by peer."""

import pytest
import torch

from shake_mm.losses import PeerAttentionLoss, peer_attention


def draws(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def reference(logits, queries, keys, tau, average='predictions'):
    total = 0.0
    for n in range(len(logits[0])):
        soft = [torch.exp(z[n] / tau) / torch.exp(z[n] / tau).sum() for z in logits]
        for a, q in enumerate(soft):
            weights = torch.stack([torch.exp((queries[a][n] * key[n]).sum()) for key in keys])
            weights = weights / weights.sum()
            if average == 'logits':
                score = sum(w * z[n].detach() for w, z in zip(weights, logits))
                target = torch.exp(score / tau) / torch.exp(score / tau).sum()
            else:
                target = sum(w * p.detach() for w, p in zip(weights, soft))
            total = total + (target * torch.log(target / q)).sum()
    return tau**2 * total / len(logits[0])


@pytest.mark.parametrize('average', ['predictions', 'logits'])
@pytest.mark.parametrize(('peers', 'tau'), [(2, 1.0), (3, 3.0)])
def test_value_and_gradients(peers, tau, average):
    values = draws(*[(4, 5)] * peers, *[(4, 2)] * (2 * peers))
    sides = values[:peers], values[peers : 2 * peers], values[2 * peers :]
    found, wanted = peer_attention(*sides, tau, average), reference(*sides, tau, average)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(torch.autograd.grad(found, values), torch.autograd.grad(wanted, values)):
        torch.testing.assert_close(a, b)


def test_the_module_projects_all_peers_by_the_same_maps():
    loss = PeerAttentionLoss([5, 5, 16, 16], factor=4, tau=2.0, loss_weight=0.5).double()
    values = draws((3, 5), (3, 5), (3, 16), (3, 16))
    assert loss.query.weight.shape == loss.key.weight.shape == (4, 16)
    queries, keys = ([x @ layer.weight.T for x in values[2:]] for layer in (loss.query, loss.key))
    torch.testing.assert_close(loss(values), 0.5 * reference(values[:2], queries, keys, 2.0))
    loss(values).backward()
    assert all(x.grad.abs().max() > 0 for x in (*values, loss.query.weight, loss.key.weight))


def test_equal_peers_have_nothing_to_learn():
    (z,) = draws((3, 5))
    (features,) = draws((3, 8), seed=1)
    loss = PeerAttentionLoss([5, 5, 8, 8]).double()
    value = loss([z, z, features, features])
    value.backward()
    assert value.abs() < 1e-12 and z.grad.abs().max() < 1e-12
