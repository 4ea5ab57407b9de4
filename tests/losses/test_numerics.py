"""Every loss at the edges of its inputs, in every precision: finite, with finite gradients, computed in float32.

What is compared with is the same loss in float64 on the same rounded inputs; its formula is tested beside each loss.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from shake_mm import losses
from shake_mm.engine.terms import Term
from shake_mm.registry import MODELS
from shake_mm.taps import Taps

from ..support.stacks import AUTOCASTS, HALVES, needs_mmrazor
from .facts import (
    BATCH,
    CLASSES,
    PYRAMID,
    SAMPLES,
    behind,
    contrast,
    corners,
    found_objects,
    masks,
    objects,
    places,
    tokens,
)

ROW, MAP, LEVELS = (BATCH, CLASSES), (BATCH, CLASSES, 3, 5), [(BATCH, 2 * CLASSES, 3, 5), (BATCH, 2 * CLASSES, 2, 1)]
ANSWERS = [(BATCH, 3, CLASSES), (BATCH, 3, 4)]
BOXES = [(BATCH, 30, 4), (BATCH, 4, 4)]
KINDS = (torch.float32, torch.float16, torch.bfloat16)
PRECISIONS = [(kind, cast) for kind in KINDS for cast in (None, *AUTOCASTS)]


class Case(NamedTuple):
    """A loss and what it takes.

    Args:
        build: Makes the module.
        feature: Shape of what learns, or a list of shapes.
        target: Shape of what it is compared with; None for a loss of the labels alone.
        extra: Makes further arguments from the labels.
        prepare: What comes before in every config.
    """

    build: Callable
    feature: tuple | list
    target: tuple | list | None
    extra: Callable = lambda labels: ()
    prepare: Callable = lambda x: x


class Aware(losses.TargetAwareLoss):
    """With what a decoder makes of three queries."""

    def forward(self, levels, target, *objects):
        numbers = torch.Generator().manual_seed(3)
        decoder = [torch.rand(BATCH, 3, n, generator=numbers)[: len(levels[0])] for n in (CLASSES, CLASSES, 4)]
        return super().forward(levels, [*target, *decoder], *objects)


def foreign(kind, **arguments):
    """A part of another toolbox, as a config names it."""
    return MODELS.build(dict(type=kind, **arguments))


OURS = {
    'ABLoss': Case(losses.ABLoss, MAP, MAP),
    'ATLoss': Case(losses.ATLoss, MAP, (BATCH, 3, 6, 10)),
    'AdversarialLoss': Case(partial(losses.AdversarialLoss, (CLASSES, 3, 5)), MAP, (BATCH, CLASSES, 2, 2)),
    'AlphaDivLoss': Case(losses.AlphaDivLoss, ROW, ROW),
    'AssignedQueryLoss': Case(losses.AssignedQueryLoss, ANSWERS, ANSWERS, found_objects, torch.sigmoid),
    'CCLoss': Case(losses.CCLoss, ROW, ROW),
    'BernoulliKLLoss': Case(losses.BernoulliKLLoss, ROW, ROW),
    'CRDLoss': Case(partial(losses.CRDLoss, SAMPLES, CLASSES), ROW, ROW, contrast, partial(F.normalize, dim=1)),
    'CTKDLoss': Case(losses.CTKDLoss, ROW, ROW),
    'DKDLoss': Case(losses.DKDLoss, ROW, ROW, lambda labels: (labels,)),
    'DenseKLLoss': Case(partial(losses.DenseKLLoss, CLASSES), LEVELS, LEVELS),
    'DenseKLLoss, softmax': Case(partial(losses.DenseKLLoss, CLASSES, activation='softmax'), ROW, ROW),
    'DenseBoxLoss': Case(losses.DenseBoxLoss, BOXES, BOXES, lambda labels: (places(labels, LEVELS, 2),), corners),
    'DenseBoxLoss, l1': Case(
        partial(losses.DenseBoxLoss, 'l1', 'weights'), BOXES, BOXES, lambda labels: (places(labels, LEVELS, 2),)
    ),
    'FGDLoss': Case(partial(losses.FGDLoss, CLASSES, CLASSES), MAP, MAP, objects),
    'FreeKDLoss': Case(
        partial(losses.FreeKDLoss, [CLASSES] * 2, [CLASSES] * 2), PYRAMID, PYRAMID, lambda labels: (masks(labels),)
    ),
    'MasKDLoss': Case(
        partial(losses.MasKDLoss, [CLASSES] * 2, [CLASSES] * 2, 0), PYRAMID, PYRAMID, lambda labels: (tokens(labels),)
    ),
    'OwnLoss': Case(partial(losses.OwnLoss, behind), PYRAMID, None, lambda labels: (labels.tolist(),)),
    'MaskSimilarityLoss': Case(losses.MaskSimilarityLoss, PYRAMID, None, prepare=torch.sigmoid),
    'FTLoss': Case(losses.FTLoss, MAP, (BATCH, CLASSES, 6, 10)),
    'FTLoss, attention': Case(partial(losses.FTLoss, 'attention'), MAP, (BATCH, 3, 2, 2)),
    'FitNetsLoss': Case(losses.FitNetsLoss, MAP, MAP),
    'HCLLoss': Case(losses.HCLLoss, [MAP, (BATCH, 5, 7, 6)], [MAP, (BATCH, 5, 7, 6)]),
    'HardLabelLoss': Case(losses.HardLabelLoss, ROW, ROW),
    'KLDivLoss': Case(losses.KLDivLoss, ROW, ROW),
    'KLDivLoss, cold': Case(partial(losses.KLDivLoss, 0.5), ROW, ROW),
    'MatchedQueryLoss': Case(losses.MatchedQueryLoss, ANSWERS, ANSWERS, found_objects, torch.sigmoid),
    'MLKDLoss, batch': Case(partial(losses.MLKDLoss, 'batch'), ROW, ROW),
    'MLKDLoss, class': Case(partial(losses.MLKDLoss, 'class'), ROW, ROW),
    'LocalizationDistillationLoss': Case(
        losses.LocalizationDistillationLoss, LEVELS, LEVELS, lambda labels: (places(labels, LEVELS),)
    ),
    'LocalizationDistillationLoss, all': Case(
        partial(losses.LocalizationDistillationLoss, 1.0, 'all', False),
        LEVELS,
        LEVELS,
        lambda labels: (places(labels, LEVELS),),
    ),
    'MaskKLLoss': Case(losses.MaskKLLoss, (BATCH, CLASSES, 4, 4), (BATCH, CLASSES, 4, 4), lambda labels: ([labels],)),
    'MSELoss': Case(losses.FitNetsLoss, ROW, ROW),
    'NSTLoss': Case(losses.NSTLoss, MAP, (BATCH, 3, 2, 2)),
    'NSTLoss, few channels': Case(losses.NSTLoss, (BATCH, 2, 5, 5), (BATCH, 3, 5, 5)),
    'OFDLoss': Case(losses.OFDLoss, MAP, (BATCH, CLASSES, 2, 2)),
    'PKTLoss': Case(losses.PKTLoss, ROW, (BATCH, 3)),
    'PeerAttentionLoss': Case(partial(losses.PeerAttentionLoss, [CLASSES] * 6), [ROW] * 6, None),
    'CosineLoss': Case(losses.CosineLoss, MAP, MAP),
    'PixelKLLoss': Case(losses.PixelKLLoss, MAP, MAP),
    'PixelKLLoss, sigmoid': Case(partial(losses.PixelKLLoss, activation='sigmoid'), MAP, MAP),
    'PositivePriorLoss': Case(losses.PositivePriorLoss, LEVELS, LEVELS, lambda labels: (places(labels, LEVELS, 2),)),
    'PositivePriorLoss, sigmoid': Case(
        partial(losses.PositivePriorLoss, 'sigmoid', 2.0, 'levels'),
        LEVELS,
        LEVELS,
        lambda labels: (places(labels, LEVELS, 2),),
    ),
    'QueryBoxLoss': Case(losses.QueryBoxLoss, ANSWERS[1:], ANSWERS[1:], prepare=lambda x: 0.1 + 0.8 * x.sigmoid()),
    'QueryKLLoss': Case(losses.QueryKLLoss, ANSWERS[:1], ANSWERS[:1]),
    'RKDLoss': Case(losses.RKDLoss, ROW, (BATCH, 3)),
    'SDDLoss': Case(losses.SDDLoss, (BATCH, 3, CLASSES), (BATCH, 3, CLASSES)),
    'SPLoss': Case(losses.SPLoss, MAP, (BATCH, 3)),
    'ScaleKDLoss': Case(losses.ScaleKDLoss, MAP, MAP),
    'ScaleKDLoss, frequency': Case(partial(losses.ScaleKDLoss, 'frequency'), MAP, MAP),
    'SoftCELoss': Case(losses.SoftCELoss, ROW, ROW),
    'SoftQualityFocalLoss': Case(
        losses.SoftQualityFocalLoss, LEVELS, LEVELS, lambda labels: (places(labels, LEVELS, 2),)
    ),
    'StagewiseLoss': Case(partial(losses.StagewiseLoss, dict(type='KLDivLoss'), (1, 0.5)), [ROW, ROW], [ROW, ROW]),
    'ValuableLocalizationLoss': Case(
        losses.ValuableLocalizationLoss, LEVELS, LEVELS, lambda labels: (places(labels, LEVELS).weight,)
    ),
    'TargetAwareLoss': Case(Aware, [MAP], [MAP], found_objects),
    'VIDLoss': Case(partial(losses.VIDLoss, CLASSES), MAP, (BATCH, CLASSES, 2, 2)),
    'WTTMLoss': Case(losses.WTTMLoss, ROW, ROW),
}
THEIRS = {
    name: Case(partial(foreign, name, **arguments), *shapes)
    for name, arguments, *shapes in (
        ('mmrazor.ChannelWiseDivergence', dict(tau=1.0), MAP, MAP),
        ('mmrazor.DISTLoss', dict(inter_loss_weight=2.0, intra_loss_weight=2.0, tau=4.0), ROW, ROW),
        ('mmrazor.MGDLoss', {}, MAP, MAP),
        ('mmrazor.PKDLoss', {}, MAP, MAP),
        ('mmpretrain.CrossEntropyLoss', {}, ROW, None, lambda labels: (labels,)),
    )
}
CASES = OURS | THEIRS
SITUATIONS = {
    'saturated': lambda x, y: (saturated(x), -saturated(y)),
    'saturated, equal': lambda x, y: (saturated(x), saturated(y)),
    'ordinary': lambda x, y: (x, y),
    'equal': lambda x, y: (x, x if x.shape == y.shape else y),
    'zero': lambda x, y: (0 * x, 0 * y),
    'zero student': lambda x, y: (0 * x, y),
    'zero teacher': lambda x, y: (x, 0 * y),
    'batch 1': lambda x, y: (x[:1], y[:1]),
    'batch 1, saturated': lambda x, y: (saturated(x[:1]), -saturated(y[:1])),
    'batch 1, zero': lambda x, y: (0 * x[:1], 0 * y[:1]),
    'one class absent': lambda x, y: (x, y),
}


# Where all classes are equally likely, DIST's formula has gradients of 10^8, which float16 cannot hold.
BEYOND_FLOAT16 = {('mmrazor.DISTLoss', 'zero student')}
POOLED = 'AdversarialLoss'
"""It pools the larger map as it comes, which torch 2.1 does not do in float16 on the CPU."""


def saturated(x):
    return torch.where(x > 0, 1e4, -1e4)


def draw(shape, generator):
    return [torch.randn(s, generator=generator) for s in (shape if isinstance(shape, list) else [shape])]


def prepared(case, situation):
    """Lists of what learns and of its targets, in float32, and the labels."""
    generator = torch.Generator().manual_seed(0)
    feature, target = draw(case.feature, generator), draw(case.target or case.feature, generator)
    sides = [map(case.prepare, SITUATIONS[situation](x, y)) for x, y in zip(feature, target)]
    feature, target = (list(side) for side in zip(*sides))
    labels = torch.arange(len(feature[0])) % (2 if situation == 'one class absent' else CLASSES)
    return feature, target, labels


def evaluate(case, feature, target, labels, autocast=None):
    """Value and gradients of a new module; a foreign loss is called as a term, which is all that configs do with it."""
    torch.manual_seed(0)
    leaves = [x.clone().requires_grad_() for x in feature]
    loss = case.build()
    if leaves[0].dtype == torch.float64:
        loss.double()
    one = isinstance(case.feature, tuple)
    sides = [side[0] if one else side for side in (leaves, target)][: 1 if case.target is None else 2]
    with torch.autocast('cpu', autocast or torch.bfloat16, enabled=autocast is not None):
        ours = isinstance(loss, tuple(MODELS.module_dict.values()))
        value = loss(*sides, *case.extra(labels)) if ours else as_term(loss, sides, labels)
    return value, torch.autograd.grad(value, leaves)


def as_term(loss, sides, labels):
    names = ('student', 'teacher')[: len(sides)]
    taps = Taps({}, {})
    for name, side in zip(names, sides):
        taps.declare(f'{name}.logits')
        taps.put(f'{name}.logits', side)
    term = Term('term', *(f'{name}.logits' for name in names), loss=loss)
    return term(taps, {}, lambda name: labels)['loss_term']


def test_no_loss_is_forgotten():
    MODELS.import_from_location()
    registered = {name for name, cls in MODELS.module_dict.items() if cls.__module__.startswith('shake_mm.losses.')}
    assert registered == {name.partition(',')[0] for name in OURS}


@pytest.mark.parametrize('situation', SITUATIONS)
@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=[needs_mmrazor] if 'mmrazor' in name else []) for name in CASES]
)
def test_finite_and_computed_in_float32(name, situation):
    case = CASES[name]
    feature, target, labels = prepared(case, situation)
    for kind, autocast in PRECISIONS:
        if name == POOLED and kind == torch.float16 and kind not in AUTOCASTS:
            continue
        rounded = [[x.to(kind) for x in side] for side in (feature, target)]
        value, gradients = evaluate(case, *rounded, labels, autocast)
        at = f'{kind}, autocast {autocast}'
        assert value.dtype == torch.float32 and value.isfinite(), at
        assert all(g.dtype == kind for g in gradients), at
        if kind == torch.float16 and (name, situation) in BEYOND_FLOAT16:
            continue
        assert all(g.isfinite().all() for g in gradients), at
        if autocast is None:
            exact, slopes = evaluate(case, *([x.double() for x in side] for side in rounded), labels)
        close(value, exact, 1e-4, at)
        for found, wanted in zip(gradients, slopes):
            close(found, wanted, max(1e-4, 2 * torch.finfo(kind).eps), at)


@pytest.mark.parametrize('name', OURS)
def test_a_dead_sample_among_others_has_no_huge_gradient(name):
    """All of its features are 0, as a ReLU may make them: where they are scaled to one length, that has bounds."""
    case = OURS[name]
    feature, target, labels = prepared(case, 'ordinary')
    feature = [torch.cat([0 * x[:1], x[1:]]) for x in feature]
    for side in (target, [torch.cat([0 * x[:1], x[1:]]) for x in target]):
        value, gradients = evaluate(case, feature, side, labels)
        assert value.isfinite() and all(g.abs().max() < 1e4 for g in gradients)


def test_embeddings_of_any_length():
    """CRD's have unit length by its connector; raw ones of ±10^4 have exponentials beyond any float."""
    case = OURS['CRDLoss']._replace(prepare=lambda x: x)
    for situation in ('saturated', 'saturated, equal', 'batch 1, saturated'):
        value, gradients = evaluate(case, *prepared(case, situation))
        assert value.isfinite() and gradients[0].isfinite().all()


@pytest.mark.parametrize('kind', HALVES)
def test_all_that_a_distiller_adds_up_under_autocast(shake, batch, kind):
    """Also the student's own loss, which is its head's: float32, though all logits are in half precision."""
    model = MODELS.build(shake).train()
    logits = []
    model.student.head.fc.register_forward_hook(lambda module, args, output: logits.append(output.dtype))
    with torch.autocast('cpu', kind):
        values = model(*batch(classes=100, size=16), mode='loss')
    assert {value.dtype for value in values.values()} == {torch.float32} and logits == [kind]


def close(found: Tensor, wanted: Tensor, tolerance: float, at: str):
    """Up to a share of the largest entry, or of 1/10 where all are small."""
    error = (found.double() - wanted).abs().max()
    assert error <= tolerance * max(wanted.abs().max().item(), 0.1), f'{at}: {found} instead of {wanted}'
