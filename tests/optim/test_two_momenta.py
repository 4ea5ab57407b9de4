"""DOT by its formulas in float64; what only one kind of gradient reaches; and in two processes."""

import copy
import sys

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.optim import TwoMomentaOptimWrapper, TwoMomentaSGD
from shake_mm.registry import MODELS

from ..engine.gloo_gradients import network
from ..engine.test_distributed import free_port, launch
from . import gloo_momenta

MU, DELTA, RATE, DECAY = 0.9, 0.075, 0.1, 5e-3
CONFIG = dict(
    type='shake_mm.TwoMomentaOptimWrapper',
    optimizer=dict(type='shake_mm.TwoMomentaSGD', lr=RATE, momentum=MU, delta=DELTA, weight_decay=DECAY),
)


@pytest.fixture
def model(make_classifier, trained):
    teacher = make_classifier(8)
    hint = dict(
        of='student.f2',
        to='teacher0.f2',
        connector=dict(type='ConvRegressor'),
        loss=dict(type='FitNetsLoss'),
    )
    return MODELS.build(
        dict(
            type='shake_mm.KD',
            student=make_classifier(6),
            teachers=dict(config=teacher, checkpoint=trained(teacher)),
            terms=dict(hint=hint),
        )
    ).double()


def test_steps_by_the_formula(model, batch):
    """Against a loop that has both gradients by hand, over three steps."""
    wrapper = build_optim_wrapper(model, copy.deepcopy(CONFIG))
    plain = copy.deepcopy(model)
    parameters = dict(plain.named_parameters())
    task, distilled = ({name: None for name in parameters} for _ in range(2))
    for step in range(3):
        inputs, samples = batch(dtype=torch.float64)
        model.train()
        losses = model(inputs, copy.deepcopy(samples), mode='loss')
        wrapper.update_params(model.parse_losses(losses)[0])

        losses = plain.train()(inputs, copy.deepcopy(samples), mode='loss')
        kinds = (losses['student.loss'], losses['loss_student_from_teacher'] + losses['loss_hint'])
        gradients = [
            dict(zip(parameters, torch.autograd.grad(x, parameters.values(), retain_graph=True, allow_unused=True)))
            for x in kinds
        ]
        with torch.no_grad():
            for name, p in parameters.items():
                g, h = gradients[0][name], gradients[1][name]
                alone = g is None or h is None
                g = DECAY * p + (0 if g is None else g)
                task[name] = g if step == 0 else (MU - (0 if alone else DELTA)) * task[name] + g
                h = torch.zeros_like(p) if h is None else h
                distilled[name] = h if step == 0 else (MU + (0 if alone else DELTA)) * distilled[name] + h
                p.sub_(RATE * (task[name] + distilled[name]))
        for name, p in model.named_parameters():
            torch.testing.assert_close(p, parameters[name], rtol=1e-10, atol=1e-12)
    reached = [name for name, h in gradients[1].items() if gradients[0][name] is None and h is not None]
    assert reached and all(name.startswith('terms.hint') for name in reached)
    assert not any(p.grad is not None for p in model.parameters())


def test_with_equal_momenta_it_is_sgd(model, batch):
    same = copy.deepcopy(CONFIG)
    same['optimizer']['delta'] = 0.0
    other = copy.deepcopy(model)
    sgd = dict(optimizer=dict(type='SGD', lr=RATE, momentum=MU, weight_decay=DECAY))
    data = [batch(dtype=torch.float64) for _ in range(3)]
    for distiller, config in ((model, same), (other, sgd)):
        wrapper = build_optim_wrapper(distiller, config)
        for inputs, samples in data:
            distiller.train()
            losses = distiller(inputs, copy.deepcopy(samples), mode='loss')
            wrapper.update_params(distiller.parse_losses(losses)[0])
    for a, b in zip(model.parameters(), other.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_its_state_is_saved_and_loaded(model, batch):
    wrapper = build_optim_wrapper(model, copy.deepcopy(CONFIG))
    inputs, samples = batch(dtype=torch.float64)
    model.train()
    wrapper.update_params(model.parse_losses(model(inputs, samples, mode='loss'))[0])
    state = copy.deepcopy(wrapper.state_dict())
    assert {key for entry in state['state'].values() for key in entry} == {'momentum_buffer', 'distill_buffer'}
    other = build_optim_wrapper(copy.deepcopy(model), copy.deepcopy(CONFIG))
    other.load_state_dict(state)
    for a, b in zip(wrapper.state_dict()['state'].values(), other.state_dict()['state'].values()):
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_refused():
    layer = nn.Linear(2, 2)
    with pytest.raises(UsageError, match='is for a shake_mm.TwoMomentaSGD, but the optimizer is a SGD'):
        TwoMomentaOptimWrapper(torch.optim.SGD(layer.parameters(), lr=0.1))
    optimizer = TwoMomentaSGD(layer.parameters(), lr=0.1)
    for wrong in (dict(accumulative_counts=2), dict(clip_grad=dict(max_norm=1.0))):
        with pytest.raises(UsageError, match='neither accumulates nor clips'):
            TwoMomentaOptimWrapper(optimizer, **wrong)
    with pytest.raises(UsageError, match='0.75 and 1.05'):
        TwoMomentaSGD(layer.parameters(), lr=0.1, delta=0.15)
    with pytest.raises(UsageError, match='whose losses have names'):
        TwoMomentaOptimWrapper(optimizer).backward(layer(torch.ones(2)).sum())


@pytest.mark.slow
def test_two_processes_step_as_one_with_the_joined_batch(tmp_path):
    torch.manual_seed(1)
    teacher = MODELS.build(network(0.5))
    teacher.init_weights()
    torch.save({'state_dict': teacher.state_dict()}, tmp_path / 'teacher.pth')
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={free_port()}']
    places = [tmp_path / name for name in ('two.pth', 'one.pth')]
    result = launch([*torchrun, '-m', gloo_momenta.__name__, places[0], tmp_path / 'teacher.pth'])
    assert result.returncode == 0, result.stderr[-2000:]
    gloo_momenta.main(*map(str, (places[1], tmp_path / 'teacher.pth')))
    two, one = (torch.load(place, weights_only=True) for place in places)
    assert one.keys() == two.keys() and any(name.startswith('terms.hint') for name in one)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-9, atol=1e-12)
