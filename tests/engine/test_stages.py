"""Stages as a config gives them: by name, in the order of `until`; what they add, and what a network's body is."""

import warnings

import pytest
from torch import nn

from shake_mm.engine.stages import (
    Stage,
    added_epochs,
    begins_at,
    build_stages,
    modules_of,
    resolve_bodies,
    stage_at,
    total_epochs,
)
from shake_mm.errors import UsageError

TWO = dict(init=dict(until=3, adds_epochs=True, lr_factor=0.2), main=dict(terms=['task']))


def test_without_any_there_is_one_of_everything():
    for nothing in (None, {}, dict(init=None)):
        assert build_stages(nothing) == (Stage('main'),)


def test_they_follow_one_another_by_until():
    """In whichever order they are written: mmengine sorts the keys of a config that it saves."""
    configs = dict(last=dict(), b=dict(until=5), a=dict(until=2))
    stages = build_stages(configs)
    assert [stage.name for stage in stages] == ['a', 'b', 'last']
    assert [begins_at(stages, i) for i in range(3)] == [0, 2, 5]
    assert [stage_at(stages, epoch) for epoch in (0, 1, 2, 4, 5, 99)] == [0, 0, 1, 1, 2, 2]
    assert [stage.name for stage in build_stages({**configs, 'b': None})] == ['a', 'last']


def test_a_list_is_the_former_form():
    with pytest.warns(FutureWarning, match='a list is the former form: give each a name'):
        stages = build_stages([dict(until=3), dict(reset_optimizer=True)])
    assert stages == (Stage('0', until=3), Stage('1', reset_optimizer=True))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        build_stages(TWO)


def test_what_they_add():
    stages = build_stages(TWO)
    assert added_epochs(stages) == 3 and added_epochs(build_stages(None)) == 0
    more = dict(first=dict(until=1, adds_epochs=True), **TWO)
    assert added_epochs(build_stages(more)) == 3
    cfg = dict(train_cfg=dict(max_epochs=20), model=dict(type='shake_mm.Distiller', stages=more))
    assert total_epochs(cfg) == 23
    assert total_epochs({**cfg, 'model': dict(stages=[dict(until=5), dict()])}) == 20
    assert total_epochs({**cfg, 'model': dict(type='ImageClassifier')}) == 20


@pytest.mark.parametrize(
    'stages, words',
    [
        (3, 'stages is 3, but it must be a dict'),
        (dict(init=3), 'stages.init is 3, but it must be a dict: write init=dict'),
        ([dict(until=3), 3], 'stages.1 is 3'),
        (dict(init=dict(untill=3), main=dict()), "stages.init: unknown key 'untill'"),
        (dict(init=dict(name='x'), main=dict()), "stages.init: unknown key 'name'"),
        (dict(init=dict(until='3'), main=dict()), "stages.init: until='3'"),
        (dict(init=dict(until=0), main=dict()), 'stages.init.until is 0'),
        (dict(main=dict(terms='task')), "stages.main.terms is 'task', but it must be a list of names"),
        (dict(main=dict(train=[])), 'stages.main.train is'),
        (dict(a=dict(until=3), b=dict(until=3), main=dict()), 'it reads a: 3, b: 3, main: None'),
        (dict(a=dict(until=3)), 'be left out of the last stage, but it reads a: 3'),
        (dict(a=dict(), main=dict()), 'it reads a: None, main: None'),
        (dict(a=dict(until=3), b=dict(until=5, adds_epochs=True), main=dict()), 'stages.a: the epochs that stages add'),
        (dict(main=dict(adds_epochs=True)), 'stages.main: .*never in the last'),
        (dict(a=dict(until=3, lr_factor=0.5), main=dict()), 'stages.a: lr_factor=0.5 needs adds_epochs=True'),
        (dict(a=dict(until=3, adds_epochs=True, lr_factor=2.0), main=dict()), 'stages.a.lr_factor is 2.0'),
        (dict(a=dict(until=3, adds_epochs=True, lr_factor=0), main=dict()), 'stages.a.lr_factor is 0'),
    ],
)
@pytest.mark.filterwarnings('ignore:stages')
def test_refused_by_name(stages, words):
    with pytest.raises(UsageError, match=words):
        build_stages(stages)


def test_a_stage_that_trains_nothing_is_named():
    with pytest.raises(UsageError, match=r"stages.init: no parameter matches 'studnt'"):
        Stage('init', train=['studnt', 'terms']).check_trained(['student.head.weight'])


class Network(nn.Module):
    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def test_the_network_says_what_its_body_is():
    whole, part = Network(stem=nn.Identity()), Network(stem=nn.Identity())
    part.body_layers = ('stem', 'layer1')
    networks = {
        'student': Network(backbone=part),
        'peers.teacher0': Network(backbone=whole),
        'peers.teacher1': Network(body=nn.Linear(1, 1)),
        'peers.teacher2': nn.Linear(1, 1),
    }
    stages = (Stage('init', train=[*(f'{name}.body' for name in networks), 'terms']), Stage('main'))
    (init, main) = resolve_bodies(stages, networks)
    assert init.train == [
        'student.backbone.stem',
        'student.backbone.layer1',
        'peers.teacher0.backbone',
        'peers.teacher1.body',
        'peers.teacher2',
        'terms',
    ]
    assert main == Stage('main')


def test_modules_all_of_whose_parameters_are_named():
    block = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU())
    model = nn.ModuleDict(dict(body=nn.Sequential(block, nn.Dropout()), head=nn.Linear(2, 2)))
    whole = {name for name, _ in model.named_parameters() if name.startswith('body.')}
    assert modules_of(model, whole) == [model['body'], block, block[0], block[1]]
    assert modules_of(model, whole - {'body.0.0.bias'}) == [block[1]]
    assert modules_of(model, {'head.bias'}) == modules_of(model, set()) == []
