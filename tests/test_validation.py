import math

import numpy as np
import pytest
import torch
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.losses import DenseKLLoss, KLDivLoss
from shake_mm.validation import check_arguments, check_number, check_sizes, check_tap


@pytest.mark.parametrize('value', [4, 0.5, np.float32(2), np.int64(1)])
def test_numbers_pass(value):
    """And are taken for what they are."""
    check_arguments(KLDivLoss, dict(type='KLDivLoss', tau=value), 'terms.x.loss')
    of, to = torch.randn(2, 3, 5, dtype=torch.float64)
    p, q = ((logits / float(value)).softmax(1) for logits in (to, of))
    wanted = (p * (p / q).log()).sum(1).mean() * float(value) ** 2
    torch.testing.assert_close(KLDivLoss(tau=value)(of, to), wanted)
    check_number('x', value, least=value)
    with pytest.raises(UsageError, match=f'^x is .* must be a finite number >= {value + 1}'):
        check_number('x', value, least=value + 1)


@pytest.mark.parametrize('value', ['4', None, True, math.nan, math.inf, [1.0], {}])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(UsageError, match='^terms.x.loss: tau=.* of KLDivLoss must be a finite number.$'):
        check_arguments(KLDivLoss, dict(tau=value), 'terms.x.loss')
    with pytest.raises(UsageError, match='^x is .* must be a finite number >= 0'):
        check_number('x', value)


@pytest.mark.parametrize('arguments', [dict(num_classes=2.0), dict(num_classes=True), dict(activation=1)])
def test_other_types(arguments):
    check_arguments(DenseKLLoss, dict(num_classes=np.int64(2), activation='sigmoid'), '')
    with pytest.raises(UsageError, match='DenseKLLoss: .* must be a'):
        check_arguments(DenseKLLoss, arguments, '')


def test_other_libraries_are_let_be():
    """Their annotations may say less than they take, also those of a package whose name begins like ours."""
    check_arguments(nn.Dropout, dict(p='x'), '')
    check_arguments(type('Other', (nn.Dropout,), dict(__module__='shake_mm_extras.losses')), dict(p='x'), '')
    own = type('Own', (nn.Dropout,), dict(__module__='shake_mm.losses'))
    with pytest.raises(UsageError, match="p='x' of Own must be a finite number"):
        check_arguments(own, dict(p='x'), '')


def test_sizes():
    for num_samples, input_size in [(None, None), (5, 32), (None, (8, 4)), (1, [8, 4])]:
        check_sizes(num_samples, input_size)
    for num_samples, input_size in [(0, None), ('5', None), (None, (8, 4, 2)), (None, 0.5), (None, True)]:
        with pytest.raises(UsageError, match='whole numbers'):
            check_sizes(num_samples, input_size)


def test_taps():
    check_tap('of', 'student.f1')
    check_tap('of', ['student.f1', 'student.f2'])
    for value in (None, 3, [], ['student.f1', 3]):
        with pytest.raises(UsageError, match='^of is'):
            check_tap('of', value)
