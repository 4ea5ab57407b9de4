import pytest
import torch

from shake_mm.utils import scale_gradient


@pytest.mark.parametrize('factor', [-2.0, 0.0, 0.25])
def test_the_value_passes_and_the_gradient_is_scaled(factor):
    x = torch.randn(3, 4, requires_grad=True)
    y = scale_gradient(x, factor)
    assert torch.equal(y, x)
    (y * torch.arange(12.0).view(3, 4)).sum().backward()
    assert torch.equal(x.grad, factor * torch.arange(12.0).view(3, 4))
