"""The order of shared connectors: each behind what it reads, however a config lists them."""

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS


@pytest.fixture
def build(make_classifier):
    def build(**connectors):
        torch.manual_seed(0)
        student = MODELS.build(make_classifier(6))
        term = dict(of='connectors.again', to='student.f3', loss=dict(type='FitNetsLoss'))
        return MODELS.build(dict(type='shake_mm.Distiller', student=student, connectors=connectors, terms=dict(x=term)))

    return build


def resized(source):
    return dict(type='LogitNorm', source=source)


def test_a_connector_may_stand_before_what_it_reads(build, batch):
    """As in a config that mmengine wrote to a file, sorted by name."""
    one = build(first=resized('student.f3'), other=resized('student.f2'), again=resized('connectors.first'))
    two = build(again=resized('connectors.first'), first=resized('student.f3'), other=resized('student.f2'))
    assert list(one.connectors) == ['first', 'other', 'again']  # a valid order is left as it is
    assert list(two.connectors) == ['first', 'again', 'other']
    data = batch(classes=100, size=16)
    assert torch.equal(one.train()(*data, mode='loss')['loss_x'], two.train()(*data, mode='loss')['loss_x'])


def test_connectors_that_read_each_other_are_refused(build):
    with pytest.raises(UsageError, match='connectors.again: what it reads depends on it .connectors.again'):
        build(again=resized('connectors.first'), first=resized('connectors.again'))
