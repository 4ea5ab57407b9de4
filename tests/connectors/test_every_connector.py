"""What holds for every connector: built from shapes, of the shape it promises, trained by what it gives."""

import copy
from typing import NamedTuple

import pytest
import torch

from shake_mm.registry import MODELS, build_part

from ..support.stacks import HALVES
from .test_cross_head import Behind
from .test_shared_queries import Decoder

MAP, SMALL = (6, 8, 8), (9, 4, 4)
FREQUENCIES = [(2, 2), (4, 4), (2, 2), (1, 1), (2, 2), (1, 1)]


class Whole(Behind):
    """Behind a pyramid."""

    def forward(self, levels):
        """Logits and boxes by level."""
        return super().forward(levels, levels)


class Frozen(torch.nn.Module):
    """Stands for a teacher's stages."""

    def forward(self, level):
        """Half as large, of more channels."""
        small = torch.nn.functional.avg_pool2d(level, 2)
        return torch.cat([small, small[:, :3]], dim=1)


class Case(NamedTuple):
    """A connector between two taps.

    Args:
        of: Shape of what it reads, without the batch; a list of levels for a connector of several.
        to: Shape of what its result is compared with.
        result: Shape of its result, if not ``to``.
        settings: Arguments that are no shapes.
    """

    of: tuple | list
    to: tuple | list
    result: tuple | list | None = None
    settings: dict = {}


CASES = {
    'BranchGate': Case([MAP, (5,), (5,)], (5,), (5,)),
    'Ensemble': Case([(5,), (5,)], (5,), (5,)),
    'Ensemble, of predictions': Case([(5,), (5,)], (5,), (5,), dict(tau=3.0)),
    'ConvRegressor': Case(MAP, SMALL),
    'ConvRegressor, pointwise': Case(MAP, SMALL, (9, 8, 8), dict(pointwise=True, relu=False)),
    # Of two levels of four taps; the head behind it makes three classes and boxes of each.
    'CrossHead': Case(
        [MAP, (6, 4, 4)] * 2 + [(9, 8, 8), (9, 4, 4)] * 2,
        MAP,
        [(3, 8, 8), (3, 4, 4), (4, 8, 8), (4, 4, 4)],
        dict(behind=Behind(9)),
    ),
    'Embedding': Case(MAP, SMALL, (128,)),
    'Embedding, of unit length': Case((6,), (9,), (16,), dict(out_channels=16, normalize=True)),
    # Of two levels, in two scales.
    'CrossAttentionProjector': Case([MAP, SMALL], MAP, SMALL),
    'CrossAttentionProjector, asked': Case([MAP, SMALL, SMALL], MAP, SMALL),
    'TeacherStages': Case([MAP, MAP], MAP, SMALL, dict(behind=Frozen())),
    'FeatureDiffusion': Case([MAP, (4, 8, 8)], MAP, [(4, 8, 8)] * 3),
    'FeatureDiffusion, of vectors': Case([(6,), (4,)], MAP, [(4,)] * 3, dict(steps=2)),
    'LinearAutoencoder': Case(MAP, MAP, [(3, 8, 8), MAP]),
    'FrequencyPrompt': Case([MAP, (9, 4, 4)], MAP, [(3, *size) for size in FREQUENCIES], dict(prompts=3, scales=2)),
    'PromptedHead': Case(
        [[(3, *size) for size in FREQUENCIES], MAP, (6, 4, 4)],
        MAP,
        [(3, 8, 8), (3, 4, 4), (4, 8, 8), (4, 4, 4)],
        dict(behind=Whole(6)),
    ),
    'PromptedPyramid': Case([[(3, *size) for size in FREQUENCIES], MAP, (6, 4, 4)], MAP, [MAP, (6, 4, 4)]),
    # Of two levels: the masks, what they count, the tokens.
    'ReceptiveTokens': Case([MAP, SMALL], MAP, [[(3, 8, 8), (3, 4, 4)], [(3,)] * 2, [(3, 6), (3, 9)]], dict(tokens=3)),
    'MaskedPyramid': Case([[[(3, 8, 8), (3, 4, 4)], [(3,)] * 2, [(3, 6), (3, 9)]], MAP, SMALL], MAP, [MAP, SMALL]),
    'LogitNorm': Case((5,), (5,)),
    'LogitNorm, unbiased': Case((5,), (5,), settings=dict(unbiased=True)),
    'MapTransfer': Case(MAP, (9, 8, 8)),
    'MarginReLU': Case(MAP, MAP, settings=dict(in_norm=torch.nn.BatchNorm2d(6))),
    'OrthogonalProjection': Case((6,), (9,)),
    'OrthogonalProjection, of maps': Case(MAP, (4, 8, 8)),
    'ParaphraserDecoder': Case(MAP, (9, 8, 8)),
    'ParaphraserEncoder': Case(MAP, MAP, (3, 8, 8)),
    'RegionalLogits': Case(MAP, MAP, (21, 5), dict(classifier=torch.nn.Linear(6, 5))),
    'ProjectMap': Case(MAP, (9, 13, 5)),
    'ResizeMap': Case(MAP, (9, 16, 4), (6, 16, 4)),
    # Both read what two decoders read; these answer by a tensor.
    'RandomQueries': Case([(5, 6), (7, 6)], MAP, [(300, 6)] * 4, dict(behind_each=[Decoder(), Decoder()])),
    'TeacherQueries': Case([(5, 6), (7, 6)], MAP, [(7, 6)] * 2, dict(behind_each=[Decoder(), Decoder()])),
    'ReviewFusion': Case([MAP, (9, 4, 4)], [(7, 4, 4), (8, 2, 2)]),
    'TokenMap': Case((17, 6), MAP, (6, 4, 4)),
    'Translator': Case(MAP, (9, 8, 8)),
    'VIDRegressor': Case(MAP, (9, 8, 8)),
}
UNREAD = {
    'CrossAttentionProjector': [1],
    'CrossHead': range(4, 8),
    'FeatureDiffusion': [1],
    'MaskedPyramid': [4, 5],
    'RandomQueries': [1],
    'TeacherStages': [1],
}
"""Which of the values that a connector reads get no gradient: the teacher's, and tokens."""
every_connector = pytest.mark.parametrize('name', CASES)


def facts(case):
    """What a distiller infers from the taps."""
    levels = isinstance(case.of, list)
    channels = {} if levels else dict(in_channels=case.of[0], out_channels=case.to[0])
    return dict(in_shape=case.of, out_shape=case.to, **channels)


def build(name):
    torch.manual_seed(0)
    return build_part(dict(type=name.partition(',')[0], **CASES[name].settings), facts(CASES[name]), 'a term')


def inputs(case, batch=3, **options):
    def draw(shape):
        return [draw(one) for one in shape] if isinstance(shape, list) else torch.randn(batch, *shape, **options)

    return draw(case.of)


def listed(value):
    return [one for item in value for one in listed(item)] if isinstance(value, list) else [value]


@every_connector
def test_made_of_shapes_alone_it_gives_the_shape_it_promises(name):
    case, connector = CASES[name], build(name)
    assert type(connector) is MODELS.get(f'shake_mm.{name.partition(",")[0]}')
    for batch in (1, 3):
        shapes = [tuple(x.shape) for x in listed(connector.eval()(inputs(case, batch)))]
        assert shapes == [(batch, *shape) for shape in listed(case.result or case.to)]


@every_connector
def test_in_a_dry_run_as_with_data(name):
    """The check of a config runs it on tensors that have shapes only."""
    connector = build(name)
    wanted = [x.shape for x in listed(connector(inputs(CASES[name])))]
    found = listed(copy.deepcopy(connector).to('meta')(inputs(CASES[name], device='meta')))
    assert [x.shape for x in found] == wanted and all(x.is_meta for x in found)


@every_connector
def test_the_gradient_reaches_all_of_it_and_what_it_reads(name):
    connector, read = build(name), inputs(CASES[name], requires_grad=True)
    sum((x * torch.randn_like(x)).sum() for x in listed(connector(read))).backward()
    unread = UNREAD.get(name.partition(',')[0], [])
    for value in (*(x for i, x in enumerate(listed(read)) if i not in unread), *connector.parameters()):
        assert value.grad.isfinite().all() and value.grad.abs().max() > 0


@every_connector
@pytest.mark.parametrize('dtype', HALVES)
def test_finite_under_autocast(name, dtype):
    connector, read = build(name), inputs(CASES[name], requires_grad=True)
    with torch.autocast('cpu', dtype):
        value = sum(x.float().square().mean() for x in listed(connector(read)))
    value.backward()
    assert value.isfinite() and all(x.grad.isfinite().all() for x in listed(read) if x.grad is not None)


@every_connector
def test_saved_and_loaded_it_gives_the_same(name):
    connector, other = build(name).eval(), build(name).eval()
    with torch.no_grad():
        for parameter in connector.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    other.load_state_dict(connector.state_dict())
    read, made = inputs(CASES[name]), []
    for one in (connector, other):
        torch.manual_seed(1)  # some draw noise
        made.append(listed(one(read)))
    assert all(map(torch.equal, *made))
