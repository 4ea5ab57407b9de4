"""A stage whose terms reach nothing that it trains is refused when the distiller is built."""

import pytest

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS


@pytest.fixture
def build(make_classifier, trained):
    """Build a distiller with a frozen teacher and terms on logits, on features, and for the shadow."""
    teacher = make_classifier(8)
    checkpoint = trained(teacher)
    kl, at = dict(type='KLDivLoss'), dict(type='ATLoss')
    terms = dict(
        task=dict(of='student'),
        kd=dict(of='student.logits', to='teacher0.logits', loss=kl),
        hint=dict(of='student.f1', to='teacher0.f1', loss=at),
        shadow=dict(of='proxy0.logits', to='teacher0.logits', loss=kl),
        frozen=dict(of='teacher0.logits', to='student.logits', loss=kl),
        vid=dict(of='student.f2', to='teacher0.f2', connector=dict(type='VIDRegressor'), loss=dict(type='VIDLoss')),
    )

    def build(*stages):
        parts = dict(student=make_classifier(6), teachers=dict(config=teacher, checkpoint=checkpoint))
        return MODELS.build(
            dict(type='shake_mm.Distiller', **parts, proxies=dict(type='ShadowHead'), terms=terms, stages=list(stages))
        )

    return build


@pytest.mark.parametrize(
    'terms, train',
    [
        (['task'], ['student.head']),
        (['kd'], ['student.backbone.conv1']),
        (['hint'], ['student.backbone.layer1', 'proxies']),
        (['shadow'], ['student.backbone']),  # which the shadow reads
        (['shadow'], ['proxies']),
        (['vid'], ['terms']),
        (['frozen', 'kd'], None),
    ],
)
def test_stages_that_learn(build, terms, train):
    model = build(dict(terms=terms, train=train))
    assert model.stage_index == 0 and model.taps.unknown == set()


@pytest.mark.parametrize(
    'terms, train',
    [
        (['task'], ['proxies']),
        (['kd'], ['proxies', 'terms']),
        (['hint'], ['student.head']),  # behind what the term reads
        (['hint'], ['student.backbone.layer2']),
        (['shadow'], ['student.head']),
        (['frozen'], None),
    ],
)
def test_stages_that_cannot(build, terms, train):
    with pytest.raises(UsageError, match=f'the terms {", ".join(terms)} reach nothing that the stage trains'):
        build(dict(until=1), dict(terms=terms, train=train))


def test_misspelt_parts(build):
    build(dict(train=['student', 'connectors']))  # there are none
    with pytest.raises(UsageError, match="no parameter matches 'proxies.proxy7' in train="):
        build(dict(train=['student', 'proxies.proxy7']))
