"""A leaner step is the same step: compiled, or with a fused optimizer."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper

from shake_mm.engine.compiled import check_compiled
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tests.support.runs import train
from tests.support.stacks import needs_torch, not_on, only_on

fuses = needs_torch('2.4', 'SGD is not fused on the CPU')


@pytest.fixture
def config(make_classifier, trained):
    teacher = make_classifier(8)
    return dict(
        type='shake_mm.SHAKE',
        student=make_classifier(6),
        teachers=[dict(config=teacher, checkpoint=trained(teacher))],
        terms=dict(at=dict(of='student.f2', to='teacher0.f2', loss=dict(type='ATLoss'))),
    )


def build(config, **changes):
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy({**config, **changes}))
    model.init_weights()
    return model.train()


def stepped(model, data, **optimizer):
    """Log values and weights after two steps from the model's state."""
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, **optimizer))
    for _ in range(2):
        logged = model.train_step(data, wrapper)
    return torch.stack(list(logged.values())), torch.cat([value.flatten() for value in model.state_dict().values()])


@pytest.mark.parametrize(
    ('changes', 'optimizer'),
    [
        pytest.param(
            dict(compile=dict(backend='aot_eager')),
            {},
            marks=not_on('classic', 'its torch.compile leaves out what taps read'),
        ),
        pytest.param({}, dict(fused=True), marks=fuses),
        ({}, dict(foreach=True)),
    ],
)
def test_two_steps_from_many_states(config, batch, changes, optimizer):
    plain, lean = build(config), build(config, **changes)
    inputs, samples = batch()
    data = dict(inputs=inputs, data_samples=samples)
    for state in range(100):
        torch.manual_seed(state)
        for parameter in plain.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
        lean.load_state_dict(plain.state_dict())
        got, want = stepped(lean, data, **optimizer), stepped(plain, data)
        torch.testing.assert_close(got[0], want[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(got[1].double(), want[1].double(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ('changes', 'tap'),
    [({}, 'student.f2'), (dict(terms={}, gradient_scales={'student.backbone.layer3': 0.5}), 'student.backbone.layer3')],
)
def test_an_old_torch_compiles_nothing_that_is_read_inside(config, changes, tap):
    model = MODELS.build({**config, 'compile': False, **changes})
    hooked = {*model.objective.read, *changes.get('gradient_scales', {})}
    check_compiled(model.members, model.taps, hooked, '2.1.2+cu121')  # as nothing is compiled
    model.student.backbone.compile()
    check_compiled(model.members, model.taps, model.objective.read - {'student.f2'}, '2.1.2+cu121')
    check_compiled(model.members, model.taps, hooked, '2.2.0')
    with pytest.raises(UsageError, match=f"^compile: '{tap}' lies inside .* torch 2.1.2.cu121 does not show"):
        check_compiled(model.members, model.taps, hooked, '2.1.2+cu121')


@only_on('classic', 'its torch.compile leaves out what taps read')
def test_an_old_torch_refuses_when_it_is_built(config):
    with pytest.raises(UsageError, match=r"^compile: 'student\.f2' lies inside"):
        MODELS.build({**config, 'compile': True})


def test_compiled_modules_are_saved_and_copied_as_others(config):
    config['terms'] = {}
    model = build(config, compile=True)
    assert model.state_dict().keys() == build(config).state_dict().keys()
    assert model.student.backbone._compiled_call_impl is not None
    copy.deepcopy(model).load_state_dict(model.state_dict())


@fuses
def test_a_compiled_run_averages_saves_and_resumes(shake, tmp_path):
    """As a user starts it: a Runner with EMA, evaluated, resumed."""
    model = dict(shake, compile=dict(backend='aot_eager'))
    hooks = [dict(type='shake_mm.StageHook'), dict(type='shake_mm.MemberEvalHook'), dict(type='EMAHook')]
    optimizer = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, fused=True))
    train(dict(model), tmp_path, custom_hooks=hooks, optim_wrapper=optimizer)
    runner = train(dict(model), tmp_path, 2, custom_hooks=hooks, optim_wrapper=optimizer, resume=True)
    saved = torch.load(tmp_path / 'epoch_2.pth')
    assert runner.iter == 8 and len(saved['ema_state_dict']) >= len(saved['state_dict'])
    assert not any('_orig_mod' in key for key in saved['state_dict'])
    assert 'val/student/top1' in runner.message_hub.log_scalars
