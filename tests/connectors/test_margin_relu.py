"""The margin against the mean of the negative part, by quadrature; and which batch norm it is taken from."""

import pytest
import torch
from torch import nn

from shake_mm.connectors import MarginReLU
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS


@pytest.mark.parametrize(('mean', 'std'), [(0.0, 1.0), (0.5, 0.3), (-2.0, 0.7), (3.0, -1.2)])
def test_the_margin_is_the_mean_of_what_is_negative(mean, std):
    norm = nn.BatchNorm2d(1).double()
    with torch.no_grad():
        norm.weight.fill_(std)
        norm.bias.fill_(mean)
    x = torch.linspace(mean - 12 * abs(std), 0, 2_000_001, dtype=torch.float64)
    density = torch.exp(-(((x - mean) / std) ** 2) / 2)
    wanted = (x * density).sum() / density.sum()
    torch.testing.assert_close(MarginReLU(norm).margin, wanted[None], rtol=1e-4, atol=1e-6)


def test_where_hardly_anything_is_negative_it_is_three_deviations():
    norm = nn.BatchNorm2d(2)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([-0.5, 0.0]))
        norm.bias.copy_(torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(MarginReLU(norm).margin, torch.tensor([-1.5, 0.0]))


def test_only_what_lies_below_is_raised():
    norm = nn.BatchNorm2d(2)
    connector, x = MarginReLU(norm), torch.randn(3, 2, 4, 4)
    margin = -((2 / torch.pi) ** 0.5)
    assert torch.equal(connector(x), x.clamp(min=connector.margin[0].item()))
    assert connector.margin.tolist() == pytest.approx([margin] * 2, rel=1e-4)
    with pytest.raises(UsageError, match='no scale and shift'):
        MarginReLU(nn.BatchNorm2d(2, affine=False))


def ofd(student, teacher):
    term = dict(
        of='student.f3.preact',
        to='teacher0.f3.preact',
        connector=dict(type='ConvRegressor', relu=False, pointwise=True),
        to_connector=dict(type='MarginReLU'),
        loss=dict(type='OFDLoss'),
    )
    return dict(type='shake_mm.Distiller', student=student, teachers=[teacher], terms=dict(ofd=term))


def test_the_distiller_finds_the_norm_before_the_relu(make_classifier):
    teacher = MODELS.build(make_classifier(8))
    norm = teacher.backbone.layer3[0].bn2
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.uniform_(-0.5, 0.5)
    model = MODELS.build(ofd(make_classifier(6), teacher))
    assert torch.equal(model.terms['ofd'].to_connector.margin, MarginReLU(norm).margin)
    plain = ofd(make_classifier(6), teacher)
    plain['terms']['ofd']['to'] = 'teacher0.pool'
    with pytest.raises(UsageError, match='terms.ofd.to_connector: MarginReLU needs `in_norm`'):
        MODELS.build(plain)
