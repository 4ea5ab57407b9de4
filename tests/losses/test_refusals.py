"""Inputs and arguments that a loss must refuse, in one sentence that names it or the argument, and what to do."""

from functools import partial
from typing import Any, NamedTuple

import pytest
import torch

from shake_mm import losses
from shake_mm.errors import UsageError
from shake_mm.registry import build_part

ROW, MAP = (4, 6), (4, 6, 8, 8)
PLACES = losses.Places([torch.ones(4, 64) > 0], [torch.ones(4, 64)], torch.tensor(4.0))
KL = dict(type='KLDivLoss')
QUERIES, BOXES = (4, 5, 6), (4, 5, 4)
OBJECTS = [(2, 4)] * 4, [torch.zeros(2, dtype=torch.long)] * 4, [[8, 8]] * 4


class Refusal(NamedTuple):
    """What is refused.

    Args:
        build: Makes the module.
        shapes: Shapes of what it is called with. None: it is refused when it is built.
        words: A pattern of the sentence.
    """

    build: Any
    shapes: tuple | None
    words: str


def _own_loss_of_nothing():
    """As a config names it, where no network is known."""
    build_part(dict(type='OwnLoss'), dict(own_loss=None))


REFUSALS = {
    'ABLoss': Refusal(losses.ABLoss, (MAP, (4, 6, 4, 4)), 'ABLoss.*connector'),
    'ATLoss': Refusal(losses.ATLoss, (ROW, MAP), 'ATLoss.*before the pooling'),
    'AdversarialLoss': Refusal(
        partial(losses.AdversarialLoss, (6, 8, 8)), (MAP, (4, 7, 8, 8)), 'channels must be equal'
    ),
    'AdversarialLoss, built': Refusal(partial(losses.AdversarialLoss, (6,)), None, 'must be .C, H, W.'),
    'AlphaDivLoss': Refusal(losses.AlphaDivLoss, (ROW, (4, 7)), 'same number of classes'),
    'AlphaDivLoss, built': Refusal(partial(losses.AlphaDivLoss, clip=0.5), None, 'clip is 0.5.*use 1 or more'),
    'AssignedQueryLoss': Refusal(
        losses.AssignedQueryLoss,
        ([QUERIES, BOXES], [(4, 7, 6), (4, 7, 4)], *OBJECTS),
        'AssignedQueryLoss: .*the same qu',
    ),
    'AssignedQueryLoss, built': Refusal(
        partial(losses.AssignedQueryLoss, 'tanh'), None, "AssignedQueryLoss: activation='tanh', but"
    ),
    'MatchedQueryLoss': Refusal(
        losses.MatchedQueryLoss,
        ([QUERIES, BOXES], [QUERIES, QUERIES, BOXES, BOXES], *OBJECTS),
        "student's decoder has 1 layers and the teacher's 2: give both as many",
    ),
    'MatchedQueryLoss, of logits alone': Refusal(
        losses.MatchedQueryLoss, ([QUERIES, QUERIES], [QUERIES, BOXES], *OBJECTS), 'logits and boxes of as many layers'
    ),
    'MatchedQueryLoss, built': Refusal(
        partial(losses.MatchedQueryLoss, layers='first'), None, "MatchedQueryLoss: layers='first', but it must be one"
    ),
    'MatchedQueryLoss, positive': Refusal(
        partial(losses.MatchedQueryLoss, positive='some'), None, "positive='some', but it must be one of"
    ),
    'PositivePriorLoss': Refusal(
        losses.PositivePriorLoss, ([MAP], [(4, 12, 8, 8)], PLACES), 'PositivePriorLoss: .* they must be equal'
    ),
    'PositivePriorLoss, built': Refusal(partial(losses.PositivePriorLoss, 'tanh'), None, "activation='tanh', but it"),
    'PositivePriorLoss, cold': Refusal(partial(losses.PositivePriorLoss, tau=0.0), None, 'PositivePriorLoss: tau=0.0'),
    'QueryBoxLoss': Refusal(
        losses.QueryBoxLoss, ([BOXES], [(4, 7, 4)]), 'QueryBoxLoss: .*two decoders make of the same'
    ),
    'QueryBoxLoss, built': Refusal(partial(losses.QueryBoxLoss, l1=-1.0), None, 'QueryBoxLoss: l1 is -1.0'),
    'QueryKLLoss': Refusal(losses.QueryKLLoss, ([QUERIES], [(4, 5, 7)]), 'QueryKLLoss: it compares shapes'),
    'QueryKLLoss, built': Refusal(partial(losses.QueryKLLoss, 0.0), None, 'QueryKLLoss: tau=0.0'),
    'QueryKLLoss, normalize': Refusal(partial(losses.QueryKLLoss, normalize='mean'), None, "normalize='mean', but"),
    'TargetAwareLoss': Refusal(
        losses.TargetAwareLoss, ([MAP], [MAP, (4, 5, 7), QUERIES, BOXES], *OBJECTS), '6 channels and its queries 7'
    ),
    'TargetAwareLoss, other taps': Refusal(
        losses.TargetAwareLoss, ([MAP], [MAP, QUERIES, BOXES], *OBJECTS), 'and then three taps of a decoder'
    ),
    'TargetAwareLoss, built': Refusal(
        partial(losses.TargetAwareLoss, 1.5), None, 'gamma=1.5, but it must be from 0 to 1'
    ),
    'BernoulliKLLoss': Refusal(losses.BernoulliKLLoss, (ROW, (4, 7)), 'BernoulliKLLoss'),
    'BernoulliKLLoss, built': Refusal(partial(losses.BernoulliKLLoss, 0.0), None, 'BernoulliKLLoss: tau is 0'),
    'CCLoss': Refusal(losses.CCLoss, (ROW, (4, 7)), 'Embedding'),
    'CRDLoss': Refusal(partial(losses.CRDLoss, 10, 6), (ROW, (4, 7), (4, 3), (4,)), 'dim=6 of CRDLoss does not fit'),
    'CRDLoss, built': Refusal(partial(losses.CRDLoss, 0), None, 'num_samples=0.*length of the training set'),
    'CTKDLoss': Refusal(losses.CTKDLoss, (ROW, (4, 7)), 'same number of classes'),
    'CTKDLoss, built': Refusal(partial(losses.CTKDLoss, epochs=0), None, 'CTKDLoss: .*epochs=0'),
    'DKDLoss': Refusal(losses.DKDLoss, (ROW, (4, 7), (4,)), 'same number of classes'),
    'DKDLoss, built': Refusal(partial(losses.DKDLoss, tau=0.0), None, 'temperature'),
    'DenseKLLoss': Refusal(partial(losses.DenseKLLoss, 6), (MAP, (4, 6, 4, 4)), 'DenseKLLoss: .* must agree'),
    'DenseKLLoss, built': Refusal(partial(losses.DenseKLLoss, 6, tau=0.0), None, 'DenseKLLoss: tau=0.0'),
    'DenseBoxLoss': Refusal(
        losses.DenseBoxLoss, ([MAP], [MAP], PLACES), 'DenseBoxLoss: .*`boxes` or `box_maps` of a dense head'
    ),
    'DenseBoxLoss, built': Refusal(partial(losses.DenseBoxLoss, 'l2'), None, "DenseBoxLoss: kind='l2'"),
    'FGDLoss': Refusal(
        partial(losses.FGDLoss, 6, 6), (MAP, (4, 6, 4, 4), [(1, 4)] * 4, (2,)), 'FGDLoss: .* they must be equal'
    ),
    'FGDLoss, built': Refusal(partial(losses.FGDLoss, 6, 6, tau=0.0), None, 'FGDLoss: tau=0.0'),
    'FreeKDLoss': Refusal(
        partial(losses.FreeKDLoss, [6], [6]),
        ([MAP], [(4, 6, 4, 4)], [(4, 2, 4, 4)] * 2),
        'FreeKDLoss: .* they must be equal',
    ),
    'FreeKDLoss, other masks': Refusal(
        partial(losses.FreeKDLoss, [6, 6], [6, 6]), ([MAP] * 2, [MAP] * 2, [MAP] * 3), '3 masks of 2 levels: let `ref'
    ),
    'FreeKDLoss, no masks': Refusal(partial(losses.FreeKDLoss, [6], [6]), ([MAP], [MAP]), '0 masks of 1 levels: let'),
    'FreeKDLoss, one level': Refusal(partial(losses.FreeKDLoss, 6, 6), None, r"of=\['student.f\*'\] and to"),
    'FreeKDLoss, built': Refusal(partial(losses.FreeKDLoss, [6], [6], -1.0), None, 'FreeKDLoss: whole=-1.0, but'),
    'MasKDLoss': Refusal(
        partial(losses.MasKDLoss, [6], [6]),
        ([MAP], [(4, 6, 4, 4)], [[(4, 2, 4, 4)], [(4, 2)], [(4, 2, 6)]]),
        'MasKDLoss: .* they must be equal',
    ),
    'MasKDLoss, no masks': Refusal(
        partial(losses.MasKDLoss, [6, 6], [6, 6]), ([MAP] * 2, [MAP] * 2, [MAP] * 3), 'masks of 2 levels: let `refer'
    ),
    'MasKDLoss, built': Refusal(partial(losses.MasKDLoss, [6], [6, 6]), None, r"of=\['student.f\*'\] and to"),
    'OwnLoss': Refusal(_own_loss_of_nothing, None, 'OwnLoss needs `own_loss`, which is not known here'),
    'MaskSimilarityLoss': Refusal(
        losses.MaskSimilarityLoss, ([(4, 1, 8, 8)],), 'compares those of two prompts or more'
    ),
    'FTLoss': Refusal(losses.FTLoss, (MAP, (4, 7, 8, 8)), 'connector'),
    'FTLoss, built': Refusal(partial(losses.FTLoss, 'other'), None, "form of FTLoss is 'other': use 'factor'"),
    'FitNetsLoss': Refusal(losses.FitNetsLoss, (MAP, (4, 7, 8, 8)), 'connector'),
    'HCLLoss': Refusal(losses.HCLLoss, (MAP, (4, 7, 8, 8)), 'ReviewFusion'),
    'HardLabelLoss': Refusal(losses.HardLabelLoss, (ROW, (4, 7)), 'HardLabelLoss'),
    'KLDivLoss': Refusal(losses.KLDivLoss, (ROW, (4, 7)), 'same number of classes'),
    'KLDivLoss, built': Refusal(partial(losses.KLDivLoss, 0.0), None, 'temperature'),
    'MLKDLoss': Refusal(partial(losses.MLKDLoss, 'batch'), (ROW, (4, 7)), 'MLKDLoss'),
    'MLKDLoss, built': Refusal(partial(losses.MLKDLoss, 'pixel'), None, "level is 'pixel'.*instance, batch, class"),
    'MLKDLoss, cold': Refusal(partial(losses.MLKDLoss, 'batch', taus=(0.0,)), None, 'temperatures larger than 0'),
    'LocalizationDistillationLoss': Refusal(
        losses.LocalizationDistillationLoss, ([MAP], [MAP], PLACES), '6 numbers a prior are no distributions'
    ),
    'LocalizationDistillationLoss, built': Refusal(
        partial(losses.LocalizationDistillationLoss, region='main'), None, "region='main', but it must be one of"
    ),
    'MaskKLLoss': Refusal(losses.MaskKLLoss, (MAP, MAP, [(3,)]), 'MaskKLLoss: masks of shape .* and 3 classes'),
    'MaskKLLoss, built': Refusal(partial(losses.MaskKLLoss, 0.0), None, 'MaskKLLoss: tau=0.0'),
    'NSTLoss': Refusal(losses.NSTLoss, (ROW, ROW), 'NSTLoss.*maps'),
    'OFDLoss': Refusal(losses.OFDLoss, (MAP, (4, 7, 8, 8)), 'OFDLoss.*channels must be equal'),
    'PKTLoss': Refusal(losses.PKTLoss, (ROW, (3, 6)), 'PKTLoss.*same batch'),
    'PeerAttentionLoss': Refusal(partial(losses.PeerAttentionLoss, [6, 6, 8]), None, 'logits of two peers or more'),
    'PeerAttentionLoss, cold': Refusal(partial(losses.PeerAttentionLoss, [6] * 4, tau=0.0), None, 'tau is 0.0'),
    'PeerAttentionLoss, built': Refusal(
        partial(losses.PeerAttentionLoss, [6] * 4, average='means'), None, "average='means', but it must be one of"
    ),
    'CosineLoss': Refusal(losses.CosineLoss, (MAP, (4, 64, 6)), 'CosineLoss.*TokenMap'),
    'PixelKLLoss': Refusal(losses.PixelKLLoss, (MAP, (4, 7, 8, 8)), 'PixelKLLoss.*of as many classes'),
    'PixelKLLoss, built': Refusal(partial(losses.PixelKLLoss, 0.0), None, 'PixelKLLoss: tau=0.0'),
    'PixelKLLoss, activation': Refusal(partial(losses.PixelKLLoss, activation='tanh'), None, 'must be one of'),
    'RKDLoss': Refusal(losses.RKDLoss, (ROW, (3, 6)), 'RKDLoss.*same batch'),
    'ScaleKDLoss': Refusal(losses.ScaleKDLoss, (MAP, (4, 7, 8, 8)), 'ScaleKDLoss: .*they must be equal'),
    'ScaleKDLoss, rows': Refusal(losses.ScaleKDLoss, (ROW, ROW), 'ScaleKDLoss: it compares maps'),
    'ScaleKDLoss, built': Refusal(partial(losses.ScaleKDLoss, 'both'), None, "ScaleKDLoss: view='both', but"),
    'SDDLoss': Refusal(losses.SDDLoss, (ROW, ROW), 'SDDLoss: .*RegionalLogits'),
    'SDDLoss, built': Refusal(partial(losses.SDDLoss, 0.0), None, 'tau is 0.0'),
    'SDDLoss, by what': Refusal(partial(losses.SDDLoss, by='nobody'), None, "by='nobody' tells no regions apart"),
    'SPLoss': Refusal(losses.SPLoss, (ROW, (3, 6)), 'SPLoss.*same batch'),
    'SoftCELoss': Refusal(losses.SoftCELoss, (ROW, (4, 7)), 'SoftCELoss'),
    'SoftCELoss, built': Refusal(partial(losses.SoftCELoss, tau=0.0), None, 'tau is 0'),
    'SoftQualityFocalLoss': Refusal(
        losses.SoftQualityFocalLoss, ([MAP], [(4, 6, 4, 4)], PLACES), 'SoftQualityFocalLoss: what it compares'
    ),
    'SoftQualityFocalLoss, built': Refusal(partial(losses.SoftQualityFocalLoss, 0.5), None, 'beta=0.5.*1 or more'),
    'StagewiseLoss': Refusal(
        partial(losses.StagewiseLoss, KL, (1, 0.5)), ([ROW], [ROW]), 'as many stages as `weights`'
    ),
    'StagewiseLoss, built': Refusal(partial(losses.StagewiseLoss, KL, ()), None, '`weights` is empty'),
    'ValuableLocalizationLoss': Refusal(
        losses.ValuableLocalizationLoss, ([MAP], [MAP], PLACES.weight), '6 numbers a prior are no distributions'
    ),
    'ValuableLocalizationLoss, built': Refusal(
        partial(losses.ValuableLocalizationLoss, 0.0), None, 'ValuableLocalizationLoss: tau=0.0'
    ),
    'VIDLoss': Refusal(partial(losses.VIDLoss, 6), (MAP, (4, 7, 8, 8)), 'connector'),
    'WTTMLoss': Refusal(losses.WTTMLoss, (ROW, (4, 7)), 'WTTMLoss'),
    'WTTMLoss, built': Refusal(partial(losses.WTTMLoss, 0.0), None, 'WTTMLoss: gamma is 0.0'),
    'VIDLoss, built': Refusal(partial(losses.VIDLoss, 6, eps=-1.0), None, 'eps >= 0'),
}


def made(shape):
    if isinstance(shape, list):
        return [one if isinstance(one, torch.Tensor) else made(one) for one in shape]
    return torch.zeros(shape) if type(shape) is tuple else shape


@pytest.mark.parametrize('name', REFUSALS)
def test_refused_in_one_sentence(name):
    build, shapes, words = REFUSALS[name]
    with pytest.raises(UsageError, match=words) as info:
        loss = build()
        assert shapes is not None, 'it was built'
        loss(*map(made, shapes))
    assert '\n' not in str(info.value) and str(info.value).endswith('.')


@pytest.mark.parametrize('name', [name for name, refusal in REFUSALS.items() if refusal.shapes])
def test_what_is_refused_in_a_call_was_built(name):
    assert type(REFUSALS[name].build()).__name__ == name.partition(',')[0]
