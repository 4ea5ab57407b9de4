"""FTLoss against its formulas, the paper's and the benchmark's."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import FTLoss, factor_transfer

from .compare import MAPS, agree, pair, same_size

SHAPES = [((2, 3, 4, 4), (2, 3, 4, 4)), ((2, 3, 6, 6), (2, 3, 3, 3)), ((1, 2, 3, 2), (1, 2, 5, 4))]


def unit(x):
    return torch.stack([row.reshape(-1) / (row**2).sum().sqrt() for row in x])


def whole(s, t):
    s, t = same_size(s, t)
    return (unit(s) - unit(t)).abs().sum() / s.numel()


def attention(s, t):
    s, t = same_size(s, t)
    a, b = (unit((x**2).sum(1) / x.shape[1]) for x in (s, t))
    return (a - b).abs().sum() / a.numel()


@pytest.mark.parametrize('shapes', SHAPES)
def test_factor_form(shapes):
    agree(factor_transfer, whole, *pair(*shapes))


@pytest.mark.parametrize('shapes', MAPS)
def test_attention_form(shapes):
    agree(lambda s, t: factor_transfer(s, t, 'attention'), attention, *pair(*shapes))


def test_the_paper_is_the_default():
    s, t = pair((2, 3, 4, 4), (2, 3, 4, 4))
    assert FTLoss()(s, t) == factor_transfer(s, t, 'factor') != FTLoss('attention')(s, t)


def test_sign_matters_in_the_factor_form_only():
    s, t = pair((2, 3, 4, 4), (2, 3, 4, 4))
    assert factor_transfer(s, -t) != factor_transfer(s, t)
    assert factor_transfer(s, -t, 'attention') == factor_transfer(s, t, 'attention')


def test_errors():
    with pytest.raises(UsageError, match="form of FTLoss is 'benchmark': use 'factor'"):
        FTLoss('benchmark')
    with pytest.raises(UsageError, match=r'\(2, 3, 4, 4\) .* \(2, 5, 4, 4\).*connector'):
        FTLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 4, 4))
