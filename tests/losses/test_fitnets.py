"""FitNetsLoss: mean squared error to a feature of the same shape."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.losses import FitNetsLoss, feature_regression

from .compare import agree, pair


@pytest.mark.parametrize('shape', [(2, 3, 4, 5), (1, 7), (3, 2, 1, 1)])
def test_value_and_gradient(shape):
    def reference(s, t):
        return sum((a - b) ** 2 for a, b in zip(s.reshape(-1), t.reshape(-1))) / s.numel()

    agree(feature_regression, reference, *pair(shape, shape))


def test_reads_both_and_names_the_connector():
    with pytest.raises(UsageError, match=r'\(2, 3, 4, 4\) .* \(2, 5, 4, 4\).*connector.*ConvRegressor'):
        FitNetsLoss()(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 4, 4))
