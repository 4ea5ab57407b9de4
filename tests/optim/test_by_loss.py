"""Optimizers by loss: AFD's two updates of a batch by their formulas in float64, saved, refused, in two processes."""

import copy
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.hooks.finite_guard import optimizers_of
from shake_mm.optim import OptimizersByLoss
from shake_mm.registry import MODELS

from ..configs.cells import CONFIGS, cell_path, shortened, train_resume_export
from ..engine.gloo_gradients import network
from ..engine.test_distributed import free_port, launch
from . import gloo_momenta

MU, RATE, DECAY, SLOW = 0.9, 0.1, 5e-3, 2e-3
SGD = dict(type='SGD', lr=RATE, momentum=MU, weight_decay=DECAY)
MAPS = ('loss_student_afd', 'loss_teacher_afd')


def by_loss(maps):
    """A run's optimizers: of the maps one of their own."""
    return dict(
        constructor='shake_mm.OptimizersByLoss',
        main=dict(optimizer=SGD),
        maps=dict(optimizer=maps, losses=MAPS),
    )


@pytest.fixture
def build(make_classifier):
    """AFD on two tiny classifiers, in double precision."""

    def build(**terms):
        config = Config.fromfile(CONFIGS / '_base_/methods/afd.py').method.to_dict()
        for name, changes in terms.items():
            config['terms'][name] |= changes
        torch.manual_seed(0)
        return MODELS.build(
            dict(config, student=make_classifier(6), teachers=[dict(config=make_classifier(8))])
        ).double()

    return build


def learn(model, wrapper, data):
    for inputs, samples in data:
        model.train()
        losses = model(inputs, copy.deepcopy(samples), mode='loss')
        wrapper.update_params(model.parse_losses(losses)[0])


def adam(moments, gradient, step):
    """A step of Adam's, by its paper."""
    first, second = moments
    first.mul_(0.9).add_(0.1 * gradient)
    second.mul_(0.999).add_(0.001 * gradient**2)
    return SLOW * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)


def test_two_steps_a_batch(build, batch):
    """Momentum for logits and labels, Adam for maps and discriminators, both by gradients of one pass."""
    model = build()
    data = [batch(dtype=torch.float64) for _ in range(3)]
    plain = copy.deepcopy(model)
    learn(model, build_optim_wrapper(model, by_loss(dict(type='Adam', lr=SLOW))), data)
    parameters = dict(plain.named_parameters())
    velocity, moments = {}, {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in parameters.items()}
    for step, (inputs, samples) in enumerate(data, start=1):
        losses = plain.train()(inputs, copy.deepcopy(samples), mode='loss')
        maps = [losses[name] for name in MAPS]
        rest = [value for name, value in losses.items() if 'loss' in name and name not in MAPS]
        assert len(rest) == 4
        first, second = (
            torch.autograd.grad(sum(x), [*plain.parameters()], retain_graph=True, allow_unused=True)
            for x in (rest, maps)
        )
        first, second = dict(zip(parameters, first)), dict(zip(parameters, second))
        with torch.no_grad():
            for name, p in parameters.items():
                if first[name] is not None:
                    g = first[name] + DECAY * p
                    velocity[name] = MU * velocity[name] + g if name in velocity else g
                    p.sub_(RATE * velocity[name])
                if second[name] is not None:
                    p.sub_(adam(moments[name], second[name], step))
    kinds = {(first[name] is None, second[name] is None) for name in parameters}
    assert kinds >= {(False, False), (True, False), (False, True)}  # bodies, discriminators, classifiers
    for name, p in model.named_parameters():
        torch.testing.assert_close(p, parameters[name], rtol=1e-10, atol=1e-12, msg=lambda text, n=name: f'{n}: {text}')
        assert p.grad is None


def test_under_sgd_a_weight_is_a_learning_rate(build, batch):
    """Two updates of a batch by SGD are one in which the terms of the second weigh as its learning rate."""
    two, one = build(), build(**{name: dict(weight=0.02) for name in ('student_afd', 'teacher_afd')})
    data = [batch(dtype=torch.float64) for _ in range(3)]
    learn(two, build_optim_wrapper(two, by_loss(dict(type='SGD', lr=0.02 * RATE, momentum=MU))), data)
    still = dict(
        custom_keys={name: dict(decay_mult=0.0) for name in ('terms', 'connectors')}
    )  # only the second moves them
    learn(one, build_optim_wrapper(one, dict(optimizer=SGD, paramwise_cfg=still)), data)
    for a, b in zip(two.parameters(), one.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_its_state_is_saved_and_loaded(build, batch):
    model, config = build(), by_loss(dict(type='Adam', lr=SLOW))
    wrapper = build_optim_wrapper(model, config)
    learn(model, wrapper, [batch(dtype=torch.float64)])
    state = copy.deepcopy(wrapper.state_dict())
    assert set(state) == {'main', 'maps'}
    assert [type(optimizer).__name__ for optimizer in optimizers_of(wrapper)] == ['SGD', 'Adam']  # which hooks watch
    assert {key for entry in state['maps']['state'].values() for key in entry} == {'step', 'exp_avg', 'exp_avg_sq'}
    twin = copy.deepcopy(model)
    other = build_optim_wrapper(twin, config)
    other.load_state_dict(state)
    data = [batch(dtype=torch.float64)]
    learn(model, wrapper, data)
    learn(twin, other, data)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters()))


def test_refused(build):
    optimizer = dict(type='Adam', lr=SLOW)
    for wrong in (dict(main=dict(optimizer=SGD)), dict(a=dict(optimizer=SGD), b=dict(optimizer=optimizer))):
        with pytest.raises(UsageError, match='needs two dicts or more, .* all but one of them with losses'):
            OptimizersByLoss(wrong)
    model = build()
    for losses, match in (
        (
            ['loss_student_adf'],
            "maps.losses: no term makes a loss called 'loss_student_adf': name one of .*student_afd",
        ),
        ('loss_student_afd', 'but it must list names'),
    ):
        with pytest.raises(UsageError, match=match):
            build_optim_wrapper(model, {**by_loss(optimizer), 'maps': dict(optimizer=optimizer, losses=losses)})
    with pytest.raises(UsageError, match='maps: OptimizersByLoss neither accumulates gradients nor scales'):
        build_optim_wrapper(
            model, {**by_loss(optimizer), 'maps': dict(optimizer=optimizer, losses=MAPS, accumulative_counts=2)}
        )
    with pytest.raises(UsageError, match='whose losses have names'):
        build_optim_wrapper(model, by_loss(optimizer)).update_params(nn.Linear(2, 2)(torch.ones(2)).sum())


@pytest.mark.slow
def test_a_run_trains_resumes_and_exports(tmp_path):
    """With the optimizers of AFD's page."""
    text = (CONFIGS / 'afd/README.md').read_text()
    block = text[text.index('optim_wrapper = dict(') :].split('```')[0]
    (tmp_path / 'mine.py').write_text(f"_base_ = '{cell_path('afd', 'resnet14_resnet8', 'digits100')}'\n{block}")

    def configure(epochs):
        return shortened(Config.fromfile(tmp_path / 'mine.py'), tmp_path, epochs)

    first, last, plain = train_resume_export(configure, tmp_path, (1, 2))
    assert plain.model.type == 'ImageClassifier'
    assert any(not torch.equal(first[key], last[key]) for key in last if 'discriminator' in key or 'backbone' in key)


@pytest.mark.slow
def test_two_processes_step_as_one_with_the_joined_batch(tmp_path):
    torch.manual_seed(1)
    teacher = MODELS.build(network(0.5))
    teacher.init_weights()
    torch.save({'state_dict': teacher.state_dict()}, tmp_path / 'teacher.pth')
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={free_port()}']
    places = [tmp_path / name for name in ('two.pth', 'one.pth')]
    result = launch([*torchrun, '-m', gloo_momenta.__name__, places[0], tmp_path / 'teacher.pth', 'by loss'])
    assert result.returncode == 0, result.stderr[-2000:]
    gloo_momenta.main(*map(str, (places[1], tmp_path / 'teacher.pth')), 'by loss')
    two, one = (torch.load(place, weights_only=True) for place in places)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-9, atol=1e-12)
