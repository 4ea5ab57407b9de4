"""The classification branch of a detector's head: exactly its scores, nothing of its boxes."""

import pytest
import torch
from mmengine.model import bias_init_with_prob

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks.branch import ClassificationBranch, Nothing, check_logits, pyramid
from tests.support.detectors import CLASSES, HEADS, LEVELS, detector, lively


def features(channels=8):
    return pyramid([channels] * LEVELS, torch.device('cpu'))


@pytest.mark.parametrize('kind', HEADS)
def test_the_branch_gives_the_scores_of_the_whole_head(kind):
    head = lively(detector(kind)).bbox_head.eval()
    branch = ClassificationBranch(head, features()).eval()
    missing = branch.head.load_state_dict(head.state_dict(), strict=False).missing_keys
    assert not missing
    with torch.no_grad():
        expected, found = head(features())[0], branch(features())
    assert isinstance(found, list) and all(map(torch.equal, expected, found))
    assert sum(p.numel() for p in branch.parameters()) < sum(p.numel() for p in head.parameters())
    assert any(isinstance(layer, Nothing) for layer in branch.modules())


@pytest.mark.parametrize('kind', HEADS)
def test_every_parameter_of_the_branch_is_trained_by_its_scores(kind):
    branch = ClassificationBranch(MODELS.build(detector(kind)).bbox_head, features())
    sum(level.sum() for level in branch(features())).backward()
    assert all(p.grad is not None for p in branch.parameters() if p.requires_grad)


def test_the_branch_is_initialized_as_the_head_with_weights_of_its_own():
    head = MODELS.build(detector('retinanet')).bbox_head
    head.init_weights()
    branch = ClassificationBranch(head, features())
    bias = torch.full_like(branch.head.retina_cls.bias, bias_init_with_prob(0.01))
    torch.testing.assert_close(branch.head.retina_cls.bias.data, bias)
    assert not torch.equal(branch.head.retina_cls.weight, head.retina_cls.weight)
    before = branch.head.retina_cls.weight.clone()
    branch.init_weights()  # the Runner's comes later and changes nothing
    assert torch.equal(branch.head.retina_cls.weight, before)


def test_building_a_branch_leaves_the_head_as_it_was():
    head = lively(detector('rtmdet')).bbox_head.train()
    before = {name: value.clone() for name, value in head.state_dict().items()}
    ClassificationBranch(head, features())
    check_logits(head, features(), 'student')
    assert head.training and all(torch.equal(before[name], value) for name, value in head.state_dict().items())


def test_layers_that_classes_and_boxes_share_are_copied_too():
    head = MODELS.build(dict(_scope_='mmdet', type='RPNHead', in_channels=8, feat_channels=8))
    check_logits(head, features(), 'student')
    branch = ClassificationBranch(head, features())
    assert {name.split('.')[1] for name, _ in branch.named_parameters()} == {'rpn_conv', 'rpn_cls'}


def test_probabilities_are_no_logits():
    class Probabilities(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.num_classes, self.num_base_priors = CLASSES, 1
            self.cls, self.reg = torch.nn.Conv2d(8, CLASSES, 1), torch.nn.Conv2d(8, 4, 1)

        def forward(self, feats):
            return [self.cls(x).sigmoid() for x in feats], [self.reg(x) for x in feats]

    with pytest.raises(UsageError, match='Probabilities gives probabilities instead of logits'):
        check_logits(Probabilities(), features(), 'student')


def test_nothing_has_one_channel_and_no_gradient():
    x = torch.randn(2, 8, 3, 5, requires_grad=True)
    assert Nothing()(x).shape == (2, 1, 3, 5) and Nothing()(torch.randn(4, 8)).shape == (4, 1)
    assert not Nothing()(x).requires_grad
