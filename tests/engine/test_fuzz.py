"""Configs of distillers and losses at random: each builds and then trains, or is refused when it is built."""

import copy
import inspect
import math
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmpretrain.structures import DataSample

from shake_mm import losses
from shake_mm.explain import explain
from shake_mm.registry import MODELS
from tests.conftest import classifier

CLASSES, CHANNELS, SIZE, BATCH = 5, 4, 8, 4
LOSSES = sorted(name for name in losses.__all__ if inspect.isclass(getattr(losses, name)))
CONNECTORS = ('ConvRegressor', 'Embedding', 'LogitNorm', 'ParaphraserEncoder', 'Translator', 'VIDRegressor')

RIGHT = {
    float: st.sampled_from([0.5, 1.0, 2.0, 4]),
    int: st.sampled_from([1, 2, CHANNELS, CLASSES, 32]),
    bool: st.booleans(),
}
OTHER = {
    'form': st.sampled_from(['factor', 'attention']),
    'loss': st.sampled_from([dict(type='KLDivLoss'), dict(type='SoftCELoss', tau=2.0)]),
    'weights': st.sampled_from([(1.0,), (1.0, 0.5)]),
    'in_shape': st.just((CHANNELS, SIZE, SIZE)),
    'out_shape': st.just((CHANNELS, SIZE, SIZE)),
}
WRONG = st.sampled_from(
    [0, -1, 0.0, -0.5, 1e-3, math.nan, math.inf, -math.inf, 'four', '', None, True, [], [1.0], {}, 2.5]
)
TAPS = (
    *('student.logits', 'student.f1', 'student.f2', 'student.f3', 'student.fm', 'student.pool', 'student.feats'),
    *(
        'student.f2.preact',
        'student.f*',
        'teacher*.logits',
        'teacher*.f*',
        'teacher0.f1',
        'teacher0.f2',
        'teacher0.pool',
    ),
    *('proxy*.logits', 'proxy0.logits', 'student.inputs', 'student.backbone.conv1', 'connectors.narrow'),
)
NO_TAPS = (
    '',
    'student',
    'teacher0',
    'student.f9',
    'nobody.logits',
    'student.f1[9]',
    'student.head:inputs',
    'proxy7.logits',
    3,
    None,
)


def mostly(right: st.SearchStrategy, wrong: st.SearchStrategy = WRONG, share: int = 16) -> st.SearchStrategy:
    """One wrong value in ``share``."""
    return st.integers(1, share).flatmap(lambda draw: wrong if draw == share else right)


def tap() -> st.SearchStrategy:
    one = mostly(st.sampled_from(TAPS), st.sampled_from(NO_TAPS))
    return st.one_of(one, one, one, st.lists(one, max_size=3))


@st.composite
def part(draw: st.DrawFn, names: tuple[str, ...] | list[str]) -> Any:
    """A loss or connector, with some of the arguments that its constructor takes."""
    name = draw(st.sampled_from(names))
    config: dict[str, Any] = {'type': name}
    for key, parameter in inspect.signature(MODELS.get(f'shake_mm.{name}')).parameters.items():
        if draw(st.integers(0, 3)) == 0:
            right = RIGHT.get(parameter.annotation, OTHER.get(key, WRONG))
            config[key] = draw(mostly(right, share=6))
    if draw(st.integers(0, 30)) == 0:
        config[draw(st.sampled_from(['typ', 'taus', 'type']))] = draw(WRONG)
    return config


LOGITS = (
    ('student.logits', 'teacher*.logits'),
    ('student.logits', 'proxy*.logits'),
    ('proxy*.logits', 'teacher*.logits'),
    ('teacher*.logits', 'student.logits'),
    ('student.logits', 'student.logits'),
)
MAPS = (
    ('student.f*', 'teacher*.f*'),
    ('student.f2', 'teacher*.f2'),
    ('student.fm.preact', 'teacher*.fm.preact'),
    ('student.f1', 'teacher*.f3'),
    ('student.f2', 'student.f1'),
)
FITTING = (
    (LOGITS, ['KLDivLoss', 'AlphaDivLoss', 'SoftCELoss', 'HardLabelLoss', 'DKDLoss', 'SPLoss', 'RKDLoss'], None),
    (MAPS, ['ATLoss', 'NSTLoss', 'PKTLoss', 'SPLoss', 'RKDLoss'], None),
    (MAPS, ['FitNetsLoss', 'ABLoss', 'HCLLoss', 'VIDLoss', 'FTLoss', 'CCLoss'], 'a convolution'),
)


@st.composite
def fitting_term(draw: st.DrawFn) -> dict:
    """A term whose taps and loss fit, with arguments that may not."""
    pairs, names, connector = draw(st.sampled_from(FITTING))
    of, to = draw(st.sampled_from(pairs))
    config = dict(of=of, to=to, loss=draw(part(names)))
    if connector is not None:
        config['connector'] = draw(mostly(st.just(dict(type='torch.nn.Conv2d', kernel_size=1))))
    for key, value in EXTRAS.items():
        if draw(st.integers(0, 4)) == 0:
            config[key] = draw(value)
    return config


EXTRAS = {
    'weight': mostly(RIGHT[float]),
    'warmup': mostly(st.integers(0, 3)),
    'ramp': mostly(st.sampled_from(['linear', 'sigmoid'])),
    'weighting': mostly(st.sampled_from(['mean', 'sum', 'aekd'])),
}


@st.composite
def wild_term(draw: st.DrawFn) -> dict:
    """A term of anything."""
    others = (dict(type='torch.nn.MSELoss'), dict(type='mmpretrain.CrossEntropyLoss'), None, 'KLDivLoss', 4)
    loss = st.one_of(part(LOSSES), st.fixed_dictionaries({'tau': RIGHT[float]}), st.sampled_from(others))
    connector = mostly(st.one_of(st.none(), part(CONNECTORS)))
    optional = {
        'to': tap(),
        'loss': loss,
        'connector': connector,
        'to_connector': connector,
        'level_decay': mostly(RIGHT[float]),
        'reference': tap(),
        'wieght': RIGHT[float],
        **EXTRAS,
    }
    return draw(st.fixed_dictionaries({}, optional={'of': tap(), **optional}))


def term() -> st.SearchStrategy:
    return st.one_of(fitting_term(), fitting_term(), fitting_term(), wild_term())


NAMES = {
    'terms': ('task', 'task', 'student_from_teacher', 'x', 'teacher_task'),
    'train': ('student', 'student.head', 'proxies', 'peers', 'terms', 'connectors', 'nobody'),
}


@st.composite
def stages(draw: st.DrawFn) -> list[dict]:
    """Stages of an epoch each."""
    configs: list[dict] = [{'until': i + 1} for i in range(draw(st.integers(0, 2)))] + [{}]
    for config in configs:
        for key, names in NAMES.items():
            if draw(st.booleans()):
                config[key] = draw(mostly(st.lists(st.sampled_from(names), min_size=1, max_size=2)))
        if draw(st.integers(0, 20)) == 0:
            config[draw(st.sampled_from(['until', 'reset_optimizer', 'unitl']))] = draw(WRONG)
    return configs


@st.composite
def distiller(draw: st.DrawFn, teacher: dict) -> dict:
    """A distiller of a student and up to two teachers."""
    kind = draw(st.sampled_from(['Distiller', 'KD', 'SHAKE', 'DML']))
    teachers = draw(
        mostly(st.sampled_from([teacher, [teacher], [teacher] * 2]), st.sampled_from([[], None, 3, {}, [None]]), 12)
    )
    terms = draw(
        st.dictionaries(
            st.sampled_from(['task', 'x', 'y', 'loss_z', 'student_from_teacher']),
            mostly(term(), st.sampled_from([None, 3, {}])),
            max_size=2,
        )
    )
    config = dict(type=f'shake_mm.{kind}', student=classifier(CHANNELS, CLASSES), teachers=teachers, terms=terms)
    config['input_size'] = draw(mostly(st.just(SIZE), share=20))
    if kind == 'Distiller':
        config['terms'] = {'task': dict(of='student'), **terms}
    options = {
        'tau': mostly(RIGHT[float], share=4),
        'lam': mostly(RIGHT[float], share=4),
        'alpha': mostly(RIGHT[float], share=4),
        'weighting': mostly(st.sampled_from(['mean', 'sum', 'aekd'])),
        'divergence': mostly(part(['KLDivLoss', 'AlphaDivLoss', 'SoftCELoss', 'HardLabelLoss', 'DKDLoss'])),
        'proxies': mostly(
            st.sampled_from(
                [
                    dict(type='ShadowHead'),
                    [dict(type='ShadowHead')],
                    dict(type='ShadowNetwork'),
                    [dict(type='ShadowHead')] * 2,
                ]
            )
        ),
        'stages': mostly(stages()),
        'num_samples': mostly(st.just(32)),
        'connectors': mostly(
            st.fixed_dictionaries(
                {
                    'narrow': st.one_of(
                        part(CONNECTORS), st.fixed_dictionaries({'type': st.just('torch.nn.Flatten'), 'source': tap()})
                    )
                }
            )
        ),
    }
    for key, value in options.items():
        if draw(st.integers(0, 3)) == 0:
            config[key] = draw(value)
    return config


@pytest.fixture(scope='module')
def teacher(tmp_path_factory: pytest.TempPathFactory) -> dict:
    torch.manual_seed(1)
    config = classifier(6, CLASSES)
    path = tmp_path_factory.mktemp('fuzz') / 'teacher.pth'
    torch.save(MODELS.build(copy.deepcopy(config)).state_dict(), path)
    return dict(config=config, checkpoint=str(path))


def batch() -> tuple[torch.Tensor, list]:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(BATCH, 3, SIZE, SIZE, generator=generator)
    samples = [DataSample().set_gt_label(i % CLASSES) for i in range(BATCH)]
    for i, sample in enumerate(samples):
        sample.set_field(torch.tensor([i, 8, 9, 10]), 'contrast_idx', dtype=torch.Tensor)
        sample.set_field(torch.tensor(i), 'own_idx', dtype=torch.Tensor)
    return inputs, samples


def step(model: torch.nn.Module) -> None:
    """A training step in every stage, as ``StageHook`` enters them."""
    model.train()
    for stage in range(len(model.stages)):
        model.enter_epoch(1)
        model.enter_stage(stage)
        total, logged = model.parse_losses(model(*batch(), mode='loss'))
        assert all(value.isfinite().all() for value in logged.values()), logged
        total.backward()
        grads = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        assert all(grad.isfinite().all() for grad in grads)
        model.zero_grad()


def check(config: dict) -> bool:
    """Whether a config builds; if it does, it must train, else it must be told why."""
    try:
        torch.manual_seed(0)
        model = MODELS.build(copy.deepcopy(config))
    except Exception as error:
        if not explain(error):
            raise
        return False
    step(model)
    return True


def test_configs_build_and_train_or_are_refused(teacher: dict):
    built: list[bool] = []

    @settings(
        max_examples=200, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(distiller(teacher))
    def trial(config: dict) -> None:
        built.append(check(config))

    trial()
    assert len(built) / 10 < sum(built) < len(built)
