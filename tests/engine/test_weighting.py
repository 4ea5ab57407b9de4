"""Adaptive weights of several teachers: the solver, the gradients that it is given, and runs."""

import sys

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from shake_mm.engine import Taps
from shake_mm.engine.expand import expand_terms
from shake_mm.engine.weighting import Group, cap_of, gram_of, min_norm_weights, weigh
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from ..support.min_norm import reference
from ..support.runs import run_config, train
from .gloo_gradients import main, network
from .test_distributed import WORKER, free_port, launch

# ------------------------------------------------------------------------------------------------ the solver


@pytest.mark.parametrize('number', [2, 3, 4, 5, 6])
def test_weights_are_those_of_a_float64_solver(number):
    generator = np.random.default_rng(number)
    states = set()
    for _ in range(12):
        vectors = generator.normal(size=(number, 12)) * generator.uniform(0.3, 2, (number, 1)) + generator.normal(
            size=12
        )
        gram, cap = vectors @ vectors.T, cap_of(number)
        weights = min_norm_weights(torch.tensor(gram), cap)
        assert weights.dtype == torch.float64 and abs(float(weights.sum()) - 1) < 1e-9
        np.testing.assert_allclose(weights, reference(gram, cap), atol=1e-5)
        # up to a factor, and from lower precision
        np.testing.assert_allclose(min_norm_weights(torch.tensor(gram * 1e-9), cap), weights, atol=1e-9)
        np.testing.assert_allclose(min_norm_weights(torch.tensor(gram).float(), cap), weights, atol=1e-3)
        states |= {'zero' if w < 1e-12 else 'cap' if w > cap - 1e-12 else 'free' for w in weights.tolist()}
    assert states >= ({'cap', 'free'} if number == 2 else {'zero', 'free'})


def test_two_teachers_in_closed_form():
    """w_0 = (G_11 - G_01) / |g_0 - g_1|^2, between 0.4 and 0.6."""
    for a, b, c in [(1.0, 1.2, 0.1), (1.0, 5.0, 0.0), (4.0, 1.0, 1.5)]:
        got = min_norm_weights(torch.tensor([[a, c], [c, b]]), cap_of(2))
        first = min(max((b - c) / (a + b - 2 * c), 0.4), 0.6)
        assert got.tolist() == pytest.approx([first, 1 - first], abs=1e-6)


def test_degenerate_gradients():
    x, y = torch.randn(2, 40, dtype=torch.float64)
    cases = {
        'alike': (torch.stack([x, x, x]), [1 / 3] * 3),
        'all zero': (torch.zeros(4, 40).double(), [0.25] * 4),
        'two zero': (torch.stack([x, 0 * x, 0 * x]), [0, 0.5, 0.5]),
        'one zero': (torch.stack([x, 0 * x, x]), [0.2, 0.6, 0.2]),
        'opposite': (torch.stack([x, -x]), [0.5, 0.5]),
        'huge beside small': (torch.stack([1e5 * x, y, y]), [0, 0.5, 0.5]),
        'alone': (x[None], [1.0]),
    }
    for name, (vectors, expected) in cases.items():
        got = min_norm_weights(vectors @ vectors.T, cap_of(len(vectors)))
        assert got.tolist() == pytest.approx(expected, abs=1e-4), name
    alike = torch.stack([x, x, y, y])
    got = min_norm_weights(alike @ alike.T, 0.6)
    assert got[0] == pytest.approx(got[1]) and got[2] == pytest.approx(got[3])


def test_at_most_six():
    assert cap_of(1) == 1 and cap_of(2) == cap_of(6) == 0.6
    with pytest.raises(UsageError, match='up to 6 teachers, but there are 7'):
        min_norm_weights(torch.eye(7), 0.6)


# ------------------------------------------------------------------------------------------------ the engine


def test_gradients_of_several_taps_count_together():
    """A detector's logits, one tensor a level, one of which a loss does not read; in half precision, too."""
    taps = Taps({}, {})
    taps.declare('student.logits')
    levels = [torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 2, 2, requires_grad=True)]
    targets = [[torch.randn_like(level) for level in levels] for _ in range(2)]
    for dtype in (torch.float32, torch.float16):
        half = [level.to(dtype) for level in levels]
        values = [
            ((half[0] - targets[0][0]) ** 2).mean().float() + ((half[1] - targets[0][1]) ** 2).mean().float(),
            ((half[0] - targets[1][0]) ** 2).mean().float(),
        ]
        first = torch.cat([(2 * (level - b) / b.numel()).flatten() for level, b in zip(levels, targets[0])])
        second = torch.cat([(2 * (levels[0] - targets[1][0]) / levels[0].numel()).flatten(), torch.zeros(24)])
        expected = min_norm_weights(torch.stack([first, second]) @ torch.stack([first, second]).T, 0.6)
        losses = {'loss_a0': values[0], 'loss_a1': values[1], 'loss_b': values[0]}
        with taps.recording():
            taps.put('student.logits', half)
            weigh(losses, [Group('student.logits', ('a0', 'a1', 'a2'))], taps)
        for i in range(2):
            torch.testing.assert_close(losses[f'weight_a{i}'].double(), expected[i].double(), rtol=1e-2, atol=1e-3)
            torch.testing.assert_close(losses[f'loss_a{i}'], values[i] * losses[f'weight_a{i}'])
        assert losses['loss_b'] is values[0] and 'weight_a2' not in losses
        assert not losses['weight_a0'].requires_grad


def test_gram():
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    gram = gram_of([(x**2).sum(), (2 * x).sum()], [x])
    plain = x.detach()
    mixed = 4 * float(plain.sum())
    expected = torch.tensor([[4 * float((plain**2).sum()), mixed], [mixed, 4.0 * x.numel()]], dtype=torch.float64)
    torch.testing.assert_close(gram / gram[1, 1], expected / expected[1, 1])
    assert x.grad is None


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(loss=None, to=None, of='student'), "a 'loss'"),
        (dict(of='proxy*.logits'), "of='proxy[*].logits' stands for several"),
    ],
)
def test_terms_that_have_no_common_gradient(change, words):
    config = dict(of='student.logits', to='teacher*.logits', loss=dict(type='KLDivLoss'), weighting='aekd')
    with pytest.raises(UsageError, match=words):
        expand_terms({'x': {**config, **change}}, {'teacher': 2, 'proxy': 2}, {})


def test_refused_when_built(make_classifier):
    networks = [MODELS.build(make_classifier(8)) for _ in range(7)]
    config = dict(type='shake_mm.KD', student=make_classifier(6), weighting='aekd')
    with pytest.raises(UsageError, match='up to 6 teachers, but there are 7'):
        MODELS.build({**config, 'teachers': networks})
    own = dict(of='student.logits', to='teacher*.logits', loss=dict(type='KLDivLoss'), weighting='aekd')
    with pytest.raises(UsageError, match="leave 'loss' out of its name"):
        MODELS.build({**config, 'teachers': networks[:2], 'terms': dict(my_loss=own)})


# ------------------------------------------------------------------------------------------------ runs


def test_two_processes_weigh_by_the_joined_batch(trained, tmp_path):
    teachers = [trained(network(0.2), f't{seed}.pth', seed=seed) for seed in (1, 2, 3)]
    torchrun = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={free_port()}']
    result = launch([*torchrun, WORKER, tmp_path / 'two.pth', *teachers], WEIGHTING='aekd')
    assert result.returncode == 0, result.stderr[-2000:]
    main(str(tmp_path / 'one.pth'), *teachers, weighting='aekd')
    one, two = torch.load(tmp_path / 'one.pth'), torch.load(tmp_path / 'two.pth')
    weights = [float(one[f'weight_student_from_proxy{i}']) for i in range(3)]
    assert sum(0 < weight < 0.6 for weight in weights) >= 2  # not decided by the bounds alone
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-6, atol=1e-9)


def test_a_run_logs_its_weights_and_resumes(shake, trained, make_classifier, tmp_path):
    teacher = make_classifier(8, classes=100)
    second = dict(config=teacher, checkpoint=trained(teacher, 'second.pth', seed=2))
    model = {**shake, 'teachers': [shake['teachers'], second], 'weighting': 'aekd'}
    train(model, tmp_path, epochs=1, samples=32)
    resumed = Runner.from_cfg(run_config(model, tmp_path, epochs=2, samples=32, resume=True))
    resumed.train()
    assert resumed.epoch == 2 and resumed.iter == 4
    logs = [resumed.message_hub.get_scalar(f'train/weight_student_from_proxy{i}').data[0] for i in range(2)]
    assert len(logs[0]) == 4  # the first epoch's, too
    np.testing.assert_allclose(logs[0] + logs[1], 1, atol=1e-6)
    assert logs[0].min() > 0.4 - 1e-6 and logs[0].max() < 0.6 + 1e-6
    assert 'train/weight_proxy_from_teacher0' not in resumed.message_hub.log_scalars
