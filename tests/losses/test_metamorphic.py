"""What must hold for every loss between two features, whatever its formula is."""

import inspect
import math
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import nn

from shake_mm import losses
from shake_mm.registry import MODELS

MAP, ROW = (4, 6, 4, 4), (4, 6)


class Case(NamedTuple):
    """A loss and what its formula says; its name is that of the class, up to a comma.

    Args:
        build: Constructor, which takes ``loss_weight``.
        feature: Shape of the student's feature.
        target: Shape of the teacher's.
        minimum: The value where both are equal; None where that is not the minimum.
        doubled: The value on a batch that holds everything twice, over that on the batch; None where it is no multiple.
        takes: What ``forward`` takes beside the two; the loss needs ``gt_labels`` if it is there.
        target_learns: Whether gradient flows into the target.
    """

    build: partial | type
    feature: tuple
    target: tuple
    minimum: float | None = 0.0
    doubled: float | None = 1.0
    takes: tuple[str, ...] = ()
    target_learns: bool = False


CASES = {
    'FitNetsLoss': Case(losses.FitNetsLoss, MAP, MAP),
    'ATLoss': Case(losses.ATLoss, MAP, (4, 3, 8, 8)),
    # A row of similarities to a doubled batch is longer by the root of 2: the squares halve.
    'SPLoss': Case(losses.SPLoss, MAP, (4, 3, 2, 2), doubled=0.5),
    # A doubled batch has one more pair of neighbors, where the copies meet (tested beside its formula).
    'CCLoss': Case(losses.CCLoss, ROW, ROW, doubled=None, target_learns=True),
    'VIDLoss': Case(partial(losses.VIDLoss, 6), MAP, (4, 6, 2, 2), minimum=0.5 * math.log(5.0)),
    # The mean over pairs and triples, also the mean positive distance, see every one as often as the others.
    'RKDLoss': Case(losses.RKDLoss, ROW, (4, 3)),
    # Probabilities halve, and the mean is over all pairs.
    'PKTLoss': Case(losses.PKTLoss, ROW, (4, 3), doubled=0.5),
    # Least beyond the margin, not at the teacher's values.
    'ABLoss': Case(losses.ABLoss, MAP, MAP, minimum=None),
    'FTLoss, factor': Case(losses.FTLoss, MAP, (4, 6, 2, 2)),
    'FTLoss, attention': Case(partial(losses.FTLoss, 'attention'), MAP, (4, 3, 2, 2)),
    'NSTLoss, few positions': Case(losses.NSTLoss, MAP, (4, 3, 2, 2)),
    'NSTLoss, few channels': Case(losses.NSTLoss, (4, 2, 5, 5), (4, 3, 5, 5)),
    'HCLLoss': Case(losses.HCLLoss, MAP, MAP),
    'DKDLoss': Case(losses.DKDLoss, ROW, ROW, takes=('gt_labels',)),
    'CTKDLoss': Case(losses.CTKDLoss, ROW, ROW),
    'MLKDLoss, instance': Case(partial(losses.MLKDLoss, 'instance'), ROW, ROW),
    # Every pair of samples is there four times.
    'MLKDLoss, batch': Case(partial(losses.MLKDLoss, 'batch'), ROW, ROW, doubled=2.0),
    # Similarities are sums over the batch.
    'MLKDLoss, class': Case(partial(losses.MLKDLoss, 'class'), ROW, ROW, doubled=4.0),
    'OFDLoss': Case(losses.OFDLoss, MAP, (4, 6, 2, 2)),
    'WTTMLoss, untransformed': Case(partial(losses.WTTMLoss, 1.0), ROW, ROW),
    # Least at the transformed prediction.
    'WTTMLoss': Case(losses.WTTMLoss, ROW, ROW, minimum=None),
    'SDDLoss': Case(losses.SDDLoss, (4, 3, 6), (4, 3, 6), takes=('gt_labels',)),
    'SDDLoss, by labels': Case(partial(losses.SDDLoss, by='labels'), (4, 3, 6), (4, 3, 6), takes=('gt_labels',)),
    'ScaleKDLoss': Case(losses.ScaleKDLoss, MAP, MAP),
    'ScaleKDLoss, frequency': Case(partial(losses.ScaleKDLoss, 'frequency'), MAP, MAP),
    'AlphaDivLoss': Case(losses.AlphaDivLoss, ROW, ROW),
    'BernoulliKLLoss': Case(losses.BernoulliKLLoss, ROW, ROW),
    'DenseKLLoss': Case(partial(losses.DenseKLLoss, 6, activation='softmax'), ROW, ROW, takes=('reference',)),
    'CosineLoss': Case(losses.CosineLoss, MAP, MAP),
    'PixelKLLoss': Case(losses.PixelKLLoss, MAP, (4, 6, 2, 2), takes=('gt_sem_seg',)),
    'KLDivLoss': Case(losses.KLDivLoss, ROW, ROW, target_learns=True),  # its caller detaches
    # Least at the target's prediction, where it is the target's entropy.
    'SoftCELoss': Case(losses.SoftCELoss, ROW, ROW, minimum=None),
    'HardLabelLoss': Case(losses.HardLabelLoss, ROW, ROW, minimum=None),
}
ELSEWHERE = {
    'DenseBoxLoss': 'it weighs priors of an assignment: tests/losses/test_dense_box.py',
    'FGDLoss': 'it asks for boxes: tests/losses/test_fgd.py',
    'FreeKDLoss': 'it is of the masks of prompts: tests/losses/test_freekd.py',
    'MasKDLoss': 'it is of the masks of tokens: tests/losses/test_maskd.py',
    'OwnLoss': 'it is what a network learns by: tests/losses/test_own_loss.py',
    'MaskSimilarityLoss': 'it compares prompts with each other: tests/losses/test_freekd.py',
    'LocalizationDistillationLoss': 'it weighs priors of an assignment: tests/losses/test_box_distribution.py',
    'MaskKLLoss': 'it asks for the classes of boxes: tests/losses/test_mask_kl.py',
    'PositivePriorLoss': 'it weighs priors of an assignment: tests/losses/test_positive_prior.py',
    'SoftQualityFocalLoss': 'it weighs priors of an assignment: tests/losses/test_soft_quality_focal.py',
    'ValuableLocalizationLoss': 'likewise: tests/losses/test_box_distribution.py',
    'AssignedQueryLoss': 'it asks for objects: tests/losses/test_assigned_query.py',
    'MatchedQueryLoss': 'likewise: tests/losses/test_matched_query.py',
    'QueryBoxLoss': 'it is of layers of a decoder: tests/losses/test_query_box.py',
    'QueryKLLoss': 'likewise: tests/losses/test_query_kl.py',
    'TargetAwareLoss': 'it asks for objects: tests/losses/test_target_aware.py',
    'CRDLoss': 'its value depends on a memory of earlier batches: tests/losses/test_crd.py',
    'AdversarialLoss': 'its discriminator is drawn at random: tests/losses/test_adversarial.py',
    'PeerAttentionLoss': 'it compares peers with each other: tests/losses/test_peer_attention.py',
    'StagewiseLoss': 'it is a sum of another loss of these: tests/losses/test_stagewise.py',
}
"""Losses of another form, and where the same is tested of them."""

every_case = pytest.mark.parametrize('case', CASES.values(), ids=CASES)


def run(case, feature, target, **arguments):
    """The loss on features, on labels that repeat with the batch."""
    labels = [torch.arange(len(feature)) % 4] if 'gt_labels' in case.takes else []
    return case.build(**arguments).to(feature.dtype)(feature, target, *labels)


def inputs(case, dtype=torch.float64):
    return torch.randn(case.feature, dtype=dtype, requires_grad=True), torch.randn(case.target, dtype=dtype)


@every_case
def test_registered_with_a_weight_of_one(case):
    cls = type(case.build())
    assert MODELS.get(f'shake_mm.{cls.__name__}') is cls
    assert inspect.signature(cls).parameters['loss_weight'].default == 1.0
    assert list(inspect.signature(cls.forward).parameters)[2:] == ['target', *case.takes]


@every_case
def test_weight_is_linear(case):
    feature, target = inputs(case)
    torch.testing.assert_close(run(case, feature, target, loss_weight=0.3), 0.3 * run(case, feature, target))
    assert run(case, feature, target, loss_weight=0.0) == 0


@every_case
def test_only_the_student_learns(case):
    feature, target = inputs(case)
    target.requires_grad_()
    run(case, feature, target).backward()
    assert feature.grad.abs().max() > 0
    assert (target.grad is not None) == case.target_learns


@every_case
def test_equal_features(case):
    feature, _ = inputs(case)
    value = run(case, feature, feature.detach())
    value.backward()
    assert feature.grad.isfinite().all()
    if case.minimum is not None:
        assert value.item() == pytest.approx(case.minimum, abs=1e-6)
        assert feature.grad.abs().max() < 1e-6
        assert all(run(case, *inputs(case)) >= value - 1e-9 for _ in range(5))


@every_case
def test_doubled_batch(case):
    feature, target = inputs(case)
    twice = run(case, torch.cat([feature, feature]), torch.cat([target, target]))
    if case.doubled is not None:
        torch.testing.assert_close(twice, case.doubled * run(case, feature, target), rtol=1e-5, atol=1e-9)


@every_case
@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('zero', ['feature', 'target', 'both', 'neither'])
def test_small_batches_and_dead_features_are_finite(case, batch, zero):
    feature, target = (x.detach()[:batch].float() for x in inputs(case))
    feature = (feature * (zero not in ('feature', 'both'))).requires_grad_()
    value = run(case, feature, target * (zero not in ('target', 'both')))
    value.backward()
    assert value.isfinite() and feature.grad.isfinite().all()


@every_case
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(case, dtype):
    """Computed as if the rounded values had been float32: squares and sums of these would overflow float16."""
    feature, target = (200 * x.detach().to(dtype) for x in inputs(case))
    exact = run(case, feature.float().requires_grad_(), target.float())
    feature.requires_grad_()
    value = case.build()(feature, target, *([torch.arange(4)] if 'gt_labels' in case.takes else []))
    value.backward()
    assert value.dtype == torch.float32 and feature.grad.dtype == dtype
    torch.testing.assert_close(value, exact)


@every_case
def test_autocast_does_not_round(case):
    feature, target = inputs(case, torch.float32)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = run(case, feature, target)
    (gradient,) = torch.autograd.grad(mixed, feature)
    plain = run(case, feature, target)
    torch.testing.assert_close(mixed, plain)
    torch.testing.assert_close(gradient, torch.autograd.grad(plain, feature)[0])


@every_case
def test_runs_without_data(case):
    """The dry run that checks a config evaluates losses on tensors that have shapes only."""
    loss: nn.Module = case.build().to('meta')
    labels = [torch.empty(4, dtype=torch.long, device='meta')] if 'gt_labels' in case.takes else []
    with torch.no_grad():
        value = loss(torch.empty(case.feature, device='meta'), torch.empty(case.target, device='meta'), *labels)
    assert value.shape == ()
