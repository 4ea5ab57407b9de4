"""OrthogonalProjection: a matrix exponential of a skew-symmetric matrix, by its series, and what it keeps."""

import pytest
import torch

from shake_mm.connectors import OrthogonalProjection


def exponential(skew):
    """By the power series."""
    total = term = torch.eye(len(skew), dtype=skew.dtype)
    for i in range(1, 60):
        term = term @ skew / i
        total = total + term
    return total


@pytest.mark.parametrize(('c_in', 'c_out'), [(4, 6), (6, 4), (5, 5)])
def test_value_and_gradient(c_in, c_out):
    torch.manual_seed(0)
    projection = OrthogonalProjection(c_in, c_out).double()
    x = torch.randn(3, c_in, dtype=torch.float64, requires_grad=True)
    generator = projection.generator
    weight = exponential(generator - generator.T)[:c_out, :c_in]
    weighing = torch.randn(3, c_out, dtype=torch.float64)
    for found, wanted in zip(
        torch.autograd.grad((weighing * projection(x)).sum(), (x, generator)),
        torch.autograd.grad((weighing * (x @ weight.T)).sum(), (x, generator)),
    ):
        torch.testing.assert_close(found, wanted)
    small = weight @ weight.T if c_out <= c_in else weight.T @ weight
    torch.testing.assert_close(small, torch.eye(min(c_in, c_out), dtype=torch.float64))


def test_angles_stay_as_they_are():
    projection, x = OrthogonalProjection(4, 7), torch.randn(5, 4)
    y = projection(x)
    torch.testing.assert_close(y @ y.T, x @ x.T, rtol=1e-4, atol=1e-4)


def test_a_map_is_projected_at_every_place():
    projection, x = OrthogonalProjection(4, 3), torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(projection(x)[:, :, 2, 3], projection(x[:, :, 2, 3]))


def test_orthonormal_under_autocast_too():
    projection = OrthogonalProjection(6, 6)
    with torch.autocast('cpu', torch.bfloat16):
        y = projection(torch.eye(6))
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.T @ y, torch.eye(6), rtol=0, atol=1e-5)
