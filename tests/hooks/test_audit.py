"""The audit in real runs: the first step of every stage, and no other, is looked at."""

import copy

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from shake_mm.checks import build_runner
from shake_mm.engine.audit import StepAudit
from shake_mm.errors import UsageError
from shake_mm.hooks import AuditHook
from shake_mm.hooks import audit as audit_module

from ..support.runs import run_config

HOOK = dict(type='shake_mm.AuditHook')
TWO_STAGES = dict(first=dict(until=2), main=dict(terms=['task']))


class Watch(Hook):
    """Notes the steps in which terms carry hooks."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.steps = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if any(term._forward_pre_hooks or term._forward_hooks for term in runner.model.terms.values()):
            self.steps.append(runner.iter)


def watched(model, tmp_path, epochs=1, **changes):
    config = run_config(model, tmp_path, epochs=epochs, **changes)
    config.custom_hooks.append(HOOK)
    runner = Runner.from_cfg(config)
    watch = Watch()
    runner.register_hook(watch)
    return runner, watch


def test_the_first_step_of_every_stage_is_audited_and_no_other(shake, tmp_path):
    runner, watch = watched({**shake, 'stages': TWO_STAGES}, tmp_path, epochs=3)
    runner.train()
    assert watch.steps == [0, 8]


def test_audited_and_unaudited_runs_end_the_same(shake, tmp_path):
    """Bit for bit: the audit draws no number and moves nothing."""
    ends = []
    for name in ('with', 'without'):
        config = run_config(copy.deepcopy(shake), tmp_path / name)
        config.custom_hooks += [HOOK] if name == 'with' else []
        runner = Runner.from_cfg(config)
        runner.train()
        ends.append(runner.model.state_dict())
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())


class Sometimes(nn.Module):
    """A loss that is constant for the first batches, as where they hold no object."""

    def __init__(self, constant):
        super().__init__()
        self.left = constant

    def forward(self, preds, target):
        self.left -= 1
        return torch.zeros(()) if self.left >= 0 else (preds - target).square().mean()


@pytest.mark.parametrize('constant', [2, 100])
def test_a_loss_may_be_constant_for_some_batches_but_not_for_ever(shake, tmp_path, constant):
    runner, watch = watched(shake, tmp_path, epochs=3)
    runner.model.terms['student_from_proxy'].loss = Sometimes(constant)
    if constant == 2:
        runner.train()
        assert watch.steps == [0, 1, 2]
    else:
        with pytest.raises(UsageError, match='terms.student_from_proxy: its loss .Sometimes. sends no gradient'):
            runner.train()
        assert len(watch.steps) == audit_module.PATIENCE


def test_our_command_adds_the_hook_to_every_distillation(shake, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(
        audit_module, 'StepAudit', lambda model, warn: opened.append(model.stage_index) or StepAudit(model, warn)
    )
    runner = build_runner(run_config(shake, tmp_path), 'train')
    assert sum(isinstance(hook, AuditHook) for hook in runner.hooks) == 1
    runner.train()
    assert opened == [0]


def test_a_plain_run_gets_none(shake, tmp_path):
    config = run_config(shake['student'], tmp_path, custom_hooks=[])
    assert not any(isinstance(hook, AuditHook) for hook in build_runner(config, 'train').hooks)
    config = run_config(shake['student'], tmp_path, custom_hooks=[HOOK])
    with pytest.raises(UsageError, match='AuditHook is for a distiller'):
        build_runner(config, 'train')


def test_what_is_odd_is_told_once(shake, tmp_path, monkeypatch):
    stages = dict(one=dict(until=1, train=['proxies']), two=dict(until=2, train=['proxies']), main=dict())
    runner, _ = watched({**shake, 'stages': stages}, tmp_path, epochs=3)
    told = []
    monkeypatch.setattr(runner.logger, 'warning', lambda text, *args: told.append(str(text)))
    runner.train()
    assert sum('terms.student_from_proxy teaches nothing in this stage' in text for text in told) == 1


@pytest.mark.parametrize('knows', [False, True])
def test_a_teacher_near_chance_is_warned_of_once(make_classifier, trained, tmp_path, monkeypatch, knows):
    """Two teachers with random weights, whose measured accuracies are replaced where they are to know something."""
    teachers = [dict(config=make_classifier(8, classes=100), checkpoint=trained(make_classifier(8, classes=100)))] * 2
    model = dict(type='shake_mm.KD', student=make_classifier(6, classes=100), teachers=teachers)
    runner, _ = watched(model, tmp_path, epochs=2)
    told = []
    monkeypatch.setattr(runner.logger, 'warning', lambda text, *args: told.append(str(text)))
    if knows:
        hook = next(hook for hook in runner.hooks if isinstance(hook, AuditHook))
        measured = hook.after_val_epoch
        good = {'teacher0/top1': 70.0, 'teacher1/top1': 11.0}
        monkeypatch.setattr(hook, 'after_val_epoch', lambda runner, metrics: measured(runner, {**metrics, **good}))
    runner.train()
    names = [text.partition(' is right in')[0] for text in told if ' and chance in 1.0 %' in text]
    assert names == ([] if knows else ['teacher0', 'teacher1'])
