"""Freezing by others beside stages: a stage thaws only what a stage froze."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from shake_mm.registry import MODELS

from ..support.runs import run_config

ONE = None
TWO = dict(first=dict(until=1, terms=['task']), main=dict())
THREE = dict(first=dict(until=1, train=['proxies'], terms=['proxy_from_teacher']), second=dict(until=2), main=dict())


class Freeze(Hook):
    """A user's hook that freezes, or thaws, some layers before an epoch."""

    priority = 'NORMAL'

    def __init__(self, prefix, epoch=None, thaw=False):
        self.prefix, self.epoch, self.thaw = prefix, epoch, thaw

    def _set(self, runner):
        for name, parameter in runner.model.named_parameters():
            if name.startswith(self.prefix):
                parameter.requires_grad_(self.thaw)

    def before_train(self, runner):
        if self.epoch is None:
            self._set(runner)

    def before_train_epoch(self, runner):
        if self.epoch == runner.epoch:
            self._set(runner)


def trained_with(model, tmp_path, stages, *hooks, epochs=3):
    """The run, and which parameters moved in each of its epochs."""
    config = run_config({**model, 'stages': stages}, tmp_path, epochs=epochs)
    runner = Runner.from_cfg(config)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    states = [torch.load(tmp_path / f'epoch_{i + 1}.pth', weights_only=True)['state_dict'] for i in range(epochs)]
    names = [name for name, _ in runner.model.named_parameters()]
    moved = [{n for n in names if not torch.equal(a[n], b[n])} for a, b in zip(states, states[1:])]
    return runner, moved


@pytest.mark.parametrize('stages', [ONE, TWO])
def test_what_a_hook_froze_stays_frozen_when_a_stage_begins(shake, tmp_path, stages):
    _, moved = trained_with(shake, tmp_path, stages, Freeze('student.backbone.conv1'))
    for names in moved:
        assert not any(name.startswith('student.backbone.conv1') for name in names)
        assert any(name.startswith('student.backbone.layer1') for name in names)


def test_a_stage_thaws_what_a_stage_froze(shake, tmp_path):
    _, moved = trained_with(shake, tmp_path, THREE, Freeze('student.backbone.conv1'))
    assert any(name.startswith('student.backbone.layer1') for name in moved[0] & moved[1])
    assert not any(name.startswith('student.backbone.conv1') for name in moved[0] | moved[1])


def test_what_a_hook_froze_in_a_later_epoch_stays_frozen(shake, tmp_path):
    stages = dict(first=dict(until=2, terms=['task']), main=dict())
    _, moved = trained_with(shake, tmp_path, stages, Freeze('student.head', epoch=1), epochs=4)
    assert all(not any(name.startswith('student.head') for name in names) for names in moved)


def test_what_a_hook_thawed_is_trained_by_the_next_stage(shake, tmp_path):
    """As in a plain run: gradual thawing of layers that were frozen before."""
    hooks = Freeze('student.backbone.layer1'), Freeze('student.backbone.layer1', epoch=1, thaw=True)
    _, moved = trained_with(shake, tmp_path, TWO, *hooks)
    assert all(any(name.startswith('student.backbone.layer1') for name in names) for names in moved)


def test_what_the_network_froze_stays_frozen(shake, make_classifier, tmp_path):
    student = MODELS.build(make_classifier(6, classes=100))
    student.backbone.conv1.requires_grad_(False)
    model = dict(type='shake_mm.KD', student=student, teachers=shake['teachers'])
    runner, moved = trained_with(model, tmp_path, TWO)
    assert not runner.model.student.backbone.conv1.weight.requires_grad
    assert not any(name.startswith('student.backbone.conv1') for names in moved for name in names)
