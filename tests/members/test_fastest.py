"""inference='auto': what is taken of which times and errors, that it is kept, and what it is refused beside."""

import copy
import json

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from shake_mm.errors import UsageError
from shake_mm.members import Inference, fastest
from shake_mm.registry import MODELS

from ..support.runs import run_config
from ..support.stacks import needs_float16

TIMES = {torch.float32: 1.0, torch.float16: 0.4, torch.bfloat16: 0.2}


@pytest.fixture
def clock(monkeypatch):
    """Times by the dtype of a network's weights, so that nothing depends on this machine; outputs are real."""
    times = dict(TIMES)

    def timer(task, inputs):
        def run(network):
            made = task.forward_trunk(network, inputs)
            return times[next(network.parameters()).dtype], made

        return run

    monkeypatch.setattr(fastest, '_timer', timer)
    monkeypatch.setattr(fastest, 'SECONDS', 0.0)
    return times


@pytest.fixture
def hub(monkeypatch):
    """What a run keeps in its checkpoints, of this test alone."""
    own = MessageHub('fastest')
    monkeypatch.setattr(MessageHub, 'get_current_instance', classmethod(lambda cls: own))
    return own


@pytest.fixture
def build(make_classifier, trained):
    teacher = make_classifier(8)

    def build(inference, **changes):
        spec = dict(config=teacher, checkpoint=trained(teacher), inference=inference)
        torch.manual_seed(0)
        model = MODELS.build(dict(type='shake_mm.KD', student=make_classifier(6), teachers=[spec], **changes))
        model.init_weights()
        return model.train()

    return build


def chosen(hub):
    (value,) = (hub.get_info(key) for key in hub.runtime_info if key.startswith('inference/teacher0/'))
    return Inference(**json.loads(value))


@pytest.mark.parametrize(
    ('bound', 'changes', 'dtype'),
    [
        pytest.param(0.01, {}, 'float16', marks=needs_float16),
        (0.1, {}, 'bfloat16'),
        (1e-7, {}, 'float32'),
        (0.1, {torch.float16: 1.1, torch.bfloat16: 0.97}, 'float32'),
    ],
)
def test_the_fastest_within_the_bound(build, batch, clock, hub, bound, changes, dtype, monkeypatch):
    """bfloat16 is off by about 0.02 here and float16 by 0.002; what gains less than the noise is not taken."""
    clock.update(changes)
    said = []
    monkeypatch.setattr(fastest, 'print_log', lambda text, logger: said.append(text))
    model = build(dict(auto=True, bound=bound))
    plain = build(None)(*batch(), mode='loss')
    losses = model(*batch(), mode='loss')
    teacher = model.members.frozen['teacher0']
    assert chosen(hub).dtype == dtype and not chosen(hub).auto
    assert next(teacher.network.parameters()).dtype == getattr(torch, dtype)
    torch.testing.assert_close(losses, plain, rtol=5 * bound, atol=5 * bound)
    assert len(said) == 1 and said[0].startswith(f'teacher0 computes in {dtype}')
    assert 'bfloat16, channels-last' in said[0]


def test_a_run_that_goes_on_takes_what_it_had_taken(build, batch, clock, hub):
    first = build(dict(auto=True, bound=0.1))
    wanted = first(*batch(), mode='loss')
    kept = MessageHub('resumed')
    kept.load_state_dict(hub.state_dict())
    clock.update({torch.float16: 3.0, torch.bfloat16: 3.0})  # another way would be taken now
    hub.load_state_dict(kept.state_dict())
    again = build(dict(auto=True, bound=0.1))
    torch.testing.assert_close(again(*batch(), mode='loss'), wanted, rtol=0, atol=0)
    assert next(again.members.frozen['teacher0'].network.parameters()).dtype == torch.bfloat16


def test_it_is_measured_once_and_not_in_a_dry_run(build, batch, clock, hub, monkeypatch):
    calls = []
    measured = fastest._measured
    monkeypatch.setattr(fastest, '_measured', lambda *args: calls.append(args[0]) or measured(*args))
    model = build('auto')
    assert not calls
    for _ in range(2):
        model(*batch(), mode='loss')
    assert calls == ['teacher0']


def test_compiled_where_that_is_asked(build, batch, clock, hub):
    model = build(dict(auto=True, compile=dict(backend='eager')))
    assert all(value.isfinite() for value in model(*batch(), mode='loss').values())
    assert chosen(hub).compile == dict(backend='eager')


def test_nothing_is_folded_that_a_tap_reads(build, batch, hub, clock):
    terms = dict(t=dict(of='student.backbone.bn1', to='teacher0.backbone.conv1', loss=dict(type='ATLoss')))
    clock.update({torch.float16: 3.0, torch.bfloat16: 3.0})
    model = build('auto', terms=terms)
    assert model(*batch(), mode='loss')['loss_t'].isfinite() and not chosen(hub).fuse_bn


def test_by_the_clock_of_this_machine(build, batch, hub, monkeypatch):
    monkeypatch.setattr(fastest, 'SECONDS', 0.05)
    model, plain = build('auto'), build(None)
    found, wanted = (m.members.frozen['teacher0'] for m in (model, plain))
    model(*batch(), mode='loss')
    inputs = batch()[0]
    found, wanted = found(inputs), wanted(inputs)
    assert found.dtype == torch.float32 and (found - wanted).abs().max() <= 0.02 * wanted.abs().max()


@pytest.mark.parametrize(
    ('spec', 'words'),
    [
        (dict(inference='fast'), "inference='fast' is unknown"),
        (dict(inference=dict(auto=True, dtype='float16')), 'inference.auto measures dtype'),
        (dict(inference=dict(auto=True, bound=0.0)), 'inference.bound=0.0'),
        (dict(inference='auto', cache='x'), "inference='auto' may take another way"),
    ],
)
def test_settings_that_cannot_be(make_classifier, trained, spec, words):
    teacher = make_classifier(8)
    with pytest.raises(UsageError, match=words):
        MODELS.build(
            dict(
                type='shake_mm.KD',
                student=make_classifier(6),
                teachers=[dict(config=teacher, checkpoint=trained(teacher), **spec)],
            )
        )


def test_a_resumed_run(shake, clock, tmp_path, monkeypatch):
    """By mmengine's Runner, whose checkpoints hold the choice: the second half measures nothing."""
    shake['teachers']['inference'] = 'auto'
    first, second = (copy.deepcopy(shake) for _ in range(2))  # an experiment of its own each
    dtypes = []
    for config, changes in ((first, {}), (second, dict(epochs=2, resume=True))):
        if changes:
            changes['load_from'] = str(tmp_path / 'epoch_1.pth')
            monkeypatch.setattr(fastest, '_measured', lambda *args: pytest.fail('measured again'))
        runner = Runner.from_cfg(run_config(config, tmp_path, **changes))
        runner.train()
        dtypes.append(next(runner.model.members.frozen['teacher0'].network.parameters()).dtype)
    assert runner.epoch == 2 and dtypes[0] == dtypes[1] != torch.float32
