"""VIDRegressor: three bias-free 1x1 convolutions."""

import torch

from shake_mm.connectors import VIDRegressor


def test_value():
    regressor = VIDRegressor(3, 5).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    first, second, third = (p[:, :, 0, 0] for p in regressor.parameters())
    hidden = torch.einsum('oc,nchw->nohw', first, x).clamp(min=0)
    hidden = torch.einsum('oc,nchw->nohw', second, hidden).clamp(min=0)
    torch.testing.assert_close(regressor(x), torch.einsum('oc,nchw->nohw', third, hidden))
    assert (regressor(x) < 0).any(), 'no ReLU at the end'


def test_parameters():
    assert [tuple(p.shape) for p in VIDRegressor(16, 32).parameters()] == [
        (32, 16, 1, 1),
        (32, 32, 1, 1),
        (32, 32, 1, 1),
    ]
