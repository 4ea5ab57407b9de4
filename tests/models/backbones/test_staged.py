import pytest
import torch
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.models import StagedBackbone
from shake_mm.models.backbones.staged import join_stage


class Doubling(StagedBackbone):
    """Each stage doubles, the tail subtracts 1."""

    def __init__(self, out_indices=(-1,)):
        super().__init__(3, out_indices, None)

    def stem(self, x):
        return x

    def stage(self, index, x):
        return 2 * x

    def tail(self, x):
        return x - 1


@pytest.mark.parametrize(
    ('out_indices', 'expected'), [((-1,), [7]), ((2, 0), [2, 7]), ((1,), [4]), ((0, 1, 2), [2, 4, 7]), ((-1, 2), [7])]
)
def test_chosen_stages_in_their_order(out_indices, expected):
    assert [int(feat) for feat in Doubling(out_indices)(torch.tensor(1))] == expected


@pytest.mark.parametrize('out_indices', [(), (3,), (-4,), (0, 5)])
def test_stages_that_do_not_exist(out_indices):
    with pytest.raises(UsageError, match='of Doubling must name stages from 0 to 2'):
        Doubling(out_indices)


def test_names_of_the_common_taps():
    points = Doubling().tap_points
    assert points['f0'] == 'relu' and points['f2'] == 'layer2' and points['f3.preact'] == 'layer3.preact'
    assert len(points) == 7


def test_a_stage_ends_with_its_tap_and_its_activation():
    stage = join_stage([nn.Linear(2, 2), nn.Linear(2, 3)], shuffle=nn.Flatten())
    assert [name for name, _ in stage.named_children()] == ['0', '1', 'preact', 'relu', 'shuffle']
    assert list(stage.state_dict()) == ['0.weight', '0.bias', '1.weight', '1.bias']
