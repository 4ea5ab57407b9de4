"""DropBlock: mmdet's, on the run's schedule, for the student's training passes alone."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.models.layers import DropBlock
from mmengine.runner import Runner
from torch.nn import DataParallel

from shake_mm.errors import UsageError
from shake_mm.hooks import DropBlockHook
from shake_mm.models import crd_config
from shake_mm.registry import MODELS
from shake_mm.taps import levels_of

from ..support.runs import run_config

TAPS = ('student.f2', 'student.f3', 'student.feats', 'proxy0.logits', 'teacher0.logits', 'student.f3.preact')


@pytest.fixture
def model(shake):
    shake['terms'] = dict(features=dict(of='student.f2', to='teacher0.f2', connector=dict(type='ConvRegressor')))
    shake['terms']['features']['loss'] = dict(type='FitNetsLoss')
    built = MODELS.build(shake)
    for tap in TAPS:
        built.taps.request(tap)
    built.init_weights()
    return built.train()


@pytest.fixture
def observe(model, batch, monkeypatch):
    """Taps of one training pass at an iteration, with or without the hook; statistics of BatchNorm do not matter."""
    inputs, samples = batch(4, classes=100, size=16)

    def observe(hook=None, iteration=0, wrap=lambda model: model):
        runner = SimpleNamespace(model=wrap(model), iter=iteration, max_iters=40)
        if hook is not None:
            hook.before_train(runner)
            hook.before_train_iter(runner, 0)
        torch.manual_seed(7)
        seen = {}

        def watch(losses, groups, taps):
            seen.update({name: taps.tensor(name).detach().clone() for name in TAPS})

        monkeypatch.setattr('shake_mm.engine.distiller.weigh', watch)
        losses = model(inputs, samples, mode='loss')
        monkeypatch.undo()
        if hook is not None:
            hook.after_train(runner)
        return seen, losses

    return observe


@pytest.mark.parametrize(('iteration', 'calls'), [(0, 1), (5, 6), (100, 101)])
def test_equals_mmdets_module(observe, iteration, calls):
    """As the module itself after so many calls, which is how mmdet counts; with T = 10 it is still rising at 5."""
    plain, _ = observe()
    dropped, _ = observe(DropBlockHook(0.9, 3, ['student.f2'], warmup_iters=10), iteration, DataParallel)
    block = DropBlock(0.9, 3, warmup_iters=10)
    block.iter_cnt = calls - 1
    torch.manual_seed(7)
    assert torch.equal(dropped['student.f2'], block(plain['student.f2']))


def test_probability_of_a_block(observe):
    """At the end of the training the share of zero blocks is the formula's: all maps are 8x8, blocks 3x3."""
    plain, _ = observe()
    dropped, _ = observe(DropBlockHook(0.5, 3, ['student.f2']), iteration=39)
    gamma = 0.5 / 9 * 64 / 36
    hit = (dropped['student.f2'] == 0) & (plain['student.f2'] != 0)
    corner = hit[:, :, 0, 0].float().mean()  # hit by one block alone
    assert abs(corner - gamma) < 4 * (gamma * (1 - gamma) / hit[:, :, 0, 0].numel()) ** 0.5
    early, _ = observe(DropBlockHook(0.5, 3, ['student.f2']), iteration=0)
    assert (early['student.f2'] == 0).sum() < (dropped['student.f2'] == 0).sum()


def test_all_behind_the_stage_see_the_dropped_features(observe, model):
    plain, before = observe()
    dropped, after = observe(DropBlockHook(0.9, 3), iteration=39)
    assert not torch.equal(plain['student.f2'], dropped['student.f2'])
    assert (dropped['student.f3'].flatten(2).sum(2) == 0).any()  # whole blocks of the 4x4 maps
    torch.testing.assert_close(dropped['student.feats'], dropped['student.f3'].mean((2, 3)))
    assert torch.equal(dropped['proxy0.logits'], model.proxies['proxy0']((dropped['student.feats'],)))
    assert before['loss_features'] != after['loss_features']
    assert (dropped['student.f3.preact'].clamp(min=0)[dropped['student.f3'] == 0] > 0).any()
    assert torch.equal(plain['teacher0.logits'], dropped['teacher0.logits'])


def test_nothing_is_left_and_evaluation_is_inert(model, batch):
    inputs, _ = batch(2, size=16)
    keys = set(model.state_dict())
    hook = DropBlockHook(0.9, 3)
    expected = model.eval()(inputs)
    runner = SimpleNamespace(model=model, iter=39, max_iters=40)
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    assert torch.equal(model(inputs), expected) and set(model.state_dict()) == keys
    assert not torch.equal(model.train()(inputs), model.eval()(inputs))
    hook.after_train(runner)
    expected = model.train()(inputs)
    assert torch.equal(model(inputs), expected)


def test_a_run_and_its_resumption_follow_one_schedule(shake, tmp_path, monkeypatch):
    """The probability of every step, in a run of two epochs and in one that resumes after the first."""
    gammas = []
    original = DropBlock._compute_gamma

    def spy(block, size):
        gammas.append(original(block, size))
        return gammas[-1]

    monkeypatch.setattr(DropBlock, '_compute_gamma', spy)
    hooks = [dict(type='shake_mm.DropBlockHook', block_size=3, layers=['student.f3'])]

    def train(**changes):
        gammas.clear()
        runner = Runner.from_cfg(run_config(shake, tmp_path, epochs=2, custom_hooks=hooks, **changes))
        runner.train()
        return list(gammas)

    whole = train()
    assert whole == pytest.approx([0.1 * 16 / 4 / 9 * step / 8 for step in range(1, 9)])
    assert train(resume=True, load_from=str(tmp_path / 'epoch_1.pth')) == whole[4:]


@pytest.mark.parametrize('arch', ['resnet8', 'wrn_16_1', 'vgg8', 'ResNet50', 'MobileNetV2', 'ShuffleV1', 'ShuffleV2'])
def test_drops_in_the_last_two_stages_of_every_family(arch):
    model = MODELS.build(dict(type='shake_mm.Baseline', student=crd_config(arch)))
    stages = levels_of(model.task.aliases(model.student))[-2:]
    for stage in stages:
        model.taps.request(f'student.{stage}')
    DropBlockHook(0.99, 1).before_train(SimpleNamespace(model=model.train(), max_iters=1))
    with model.taps.recording() as taps:
        model(torch.randn(2, 3, 32, 32))
        shares = [(taps.tensor(f'student.{stage}') == 0).float().mean() for stage in stages]
    assert min(shares) > 0.9


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(drop_prob=0), 'drop_prob=0 must be larger than 0'),
        (dict(block_size=4), 'block_size=4 must be an odd number'),
        (dict(layers=['teacher0.f2']), "'teacher0.f2' is not the output of a layer of the student"),
        (dict(layers=['student.f2:input']), "'student.f2:input' is not the output"),
        (dict(layers=['student.f9']), "'student.f9' is not the output"),
        (dict(block_size=5), "a block of 5x5 does not fit the output of 'student.backbone.layer3'"),
        (dict(block_size=1, layers=['student.neck']), "does not fit the output of 'student.neck'"),
    ],
)
def test_errors_name_the_mend(observe, changes, message):
    with pytest.raises(UsageError, match=message.replace('.', r'\.')):
        observe(DropBlockHook(**{'block_size': 3, **changes}))


def test_unknown_stages_must_be_named(make_classifier):
    student = make_classifier()
    student['backbone'] = dict(type='mmpretrain.LeNet5')
    student.update(neck=None, head=dict(type='LinearClsHead', num_classes=5, in_channels=120))
    model = MODELS.build(dict(type='shake_mm.Baseline', student=student))
    with pytest.raises(UsageError, match='levels are not known: name `layers`'):
        DropBlockHook().before_train(SimpleNamespace(model=model, max_iters=1))
