"""The head behind a pyramid, and FreeKD whole, stage by stage, on every head."""

import copy

import pytest
import torch
from mmengine.config import Config

from shake_mm.compat import configs_dir
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tests.support.detectors import HEADS, detector, lively, scenes

from .test_detection_tower import network

SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in HEADS if kind not in ('retinanet', 'rtmdet')]
LEVELS = ['teacher0.f1', 'teacher0.f2', 'teacher0.f3']


def method(name='freekd', **changes):
    found = Config.fromfile(f'{configs_dir()}/_base_/methods/{name}.py').method
    found.terms.freekd.update(changes)
    return found


def distiller(kind, width=8, name='freekd', **changes):
    torch.manual_seed(0)
    student, teacher = network(kind, 1), network(kind, 2, width)
    return MODELS.build(dict(student=student, teachers=[teacher], **method(name, **changes))).train()


@pytest.mark.parametrize('kind', ['retinanet', 'rtmdet', *SLOW])
def test_it_predicts_what_the_head_does(kind):
    """Gradients reach the levels and no weight."""
    model, task = network(kind), distiller(kind).task
    levels = [torch.randn(2, 8, size, size, requires_grad=True) for size in (8, 4, 2)]
    found = task.behind(model.requires_grad_(False), ['f1', 'f2', 'f3'], 'teacher0')(levels)
    wanted = model.bbox_head(tuple(levels))
    for mine, its in zip((found[0], *found[2:]), wanted):
        assert all(map(torch.equal, mine, its))
    sum(x.sum() for side in (found[0], found[2]) for x in side).backward()
    assert all(x.grad.abs().sum() > 0 for x in levels) and all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize('kind', ['retinanet', 'rtmdet', *SLOW])
@pytest.mark.parametrize(('width', 'name'), [(8, 'freekd'), (12, 'freekd'), (8, 'freekd_unlabeled')])
def test_first_the_prompts_learn_and_then_the_student(kind, width, name):
    model = distiller(kind, width, name)
    data = model.data_preprocessor(scenes(), True)
    assert model.connectors.prompt.prompts[0].shape == (4, 6, width)
    for index, terms, learner in ((0, {'prompted', 'similarity'}, 'connectors.'), (1, {'freekd'}, 'student.')):
        model.enter_stage(index)
        model.zero_grad()
        losses = model(**copy.deepcopy(data), mode='loss')
        assert {name for name in losses if name.startswith('loss_')} == {f'loss_{term}' for term in terms}
        sum(losses[f'loss_{term}'] for term in terms).backward()
        moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert moved and all(name.startswith((learner, 'terms.freekd') if index else learner) for name in moved)
        assert index == 0 or width == 8 or any(name.startswith('terms.freekd') for name in moved)
    assert any('neck' in name for name in moved) and any('backbone' in name for name in moved)


def test_two_stages():
    models = [lively(detector('faster_rcnn'), seed) for seed in (1, 2)]
    model = MODELS.build(dict(student=models[0], teachers=[models[1]], **method())).train()
    data = model.data_preprocessor(scenes(), True)
    for index, names in enumerate((('loss_prompted', 'loss_similarity'), ('loss_freekd',))):
        model.enter_stage(index)
        losses = model(**copy.deepcopy(data), mode='loss')
        assert all(losses[name].isfinite() and losses[name] > 0 for name in names)


def test_prompts_learn_by_the_teacher_s_own_loss():
    """Of a pyramid all of whose masks are a half of two prompts: the loss that the teacher has as it is."""
    found = method()
    found.connectors.prompt.prompts = 2
    student, teacher = network('retinanet', 1), network('retinanet', 2)
    model = MODELS.build(dict(student=student, teachers=[teacher], **found)).train()
    for own in model.connectors.prompt.prompts:
        own.data.zero_()
    data = model.data_preprocessor(scenes(), True)
    model.enter_stage(0)
    losses = model(**copy.deepcopy(data), mode='loss')
    seen = model.members.frozen['teacher0']
    wanted = seen.network.loss(seen.view(data['inputs']), data['data_samples'])
    total = sum(sum(value) for name, value in wanted.items() if 'loss' in name)
    torch.testing.assert_close(losses['loss_prompted'], total)


def test_masks_that_are_none_of_these_levels_are_refused_when_it_is_built():
    """What a term's ``reference`` names is tried out too."""
    with pytest.raises(UsageError, match='terms.freekd: FreeKDLoss: 0 masks of 3 levels'):
        distiller('retinanet', reference=None)
    with pytest.raises(UsageError, match='terms.freekd: FreeKDLoss: 1 masks of 3 levels'):
        distiller('retinanet', reference='connectors.prompt[0]')


def test_all_levels_stand_in_the_source_of_a_connector():
    model = distiller('retinanet')
    sources = {tap: entry.source for tap, entry in model.objective.derived.items()}
    assert sources['connectors.prompt'] == LEVELS
    assert sources['connectors.prompted'] == ['connectors.prompt', *LEVELS]
    changed = method('freekd_unlabeled')
    changed.connectors.prompted.source = ['connectors.prompt', *LEVELS[:2]]
    with pytest.raises(UsageError, match='not behind f1, f2: name'):
        MODELS.build(dict(student=network('retinanet', 1), teachers=[network('retinanet', 2)], **changed))
