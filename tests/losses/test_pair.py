"""What the feature losses say about shapes that do not fit."""

import pytest
import torch

from shake_mm import losses
from shake_mm.errors import UsageError

REFUSED = {
    losses.FitNetsLoss: [((2, 3), (2, 4)), ((2, 3, 4, 4), (2, 3, 2, 2)), ((2, 3, 4, 4), (2, 5, 4, 4))],
    losses.ABLoss: [((2, 3), (3, 3)), ((2, 3, 4, 4), (2, 5, 4, 4))],
    losses.CCLoss: [((2, 3), (2, 4)), ((2, 3), (3, 3))],
    losses.ATLoss: [((2, 3), (2, 3)), ((2, 3, 4, 4), (3, 3, 4, 4)), ((3, 4, 4), (3, 4, 4))],
    losses.NSTLoss: [((2, 3), (2, 3)), ((2, 3, 4, 4), (3, 3, 4, 4))],
    losses.FTLoss: [((2, 3), (2, 3)), ((2, 3, 4, 4), (3, 3, 4, 4)), ((2, 3, 4, 4), (2, 5, 4, 4))],
    losses.SPLoss: [((2, 3), (3, 3)), ((3,), (3,))],
    losses.PKTLoss: [((2, 3), (3, 3)), ((3,), (3,))],
    losses.RKDLoss: [((2, 3), (3, 3)), ((3,), (3,))],
}
PAIRS = [(cls, *shapes) for cls, cases in REFUSED.items() for shapes in cases]


@pytest.mark.parametrize(('cls', 'feature', 'target'), PAIRS)
def test_one_sentence_names_the_loss_and_both_shapes(cls, feature, target):
    with pytest.raises(UsageError) as info:
        cls()(torch.zeros(feature), torch.zeros(target))
    text = str(info.value)
    assert text.startswith(f'{cls.__name__}: ') and text.endswith('.') and '\n' not in text
    assert str(feature) in text and str(target) in text
    unlike = feature[0] == target[0] and len(feature) == len(target) > 1 and feature != target
    assert ('connector' in text) == unlike
