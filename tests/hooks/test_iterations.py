"""Stages and warm-ups that count iterations, in both loops of mmengine, after a resume too."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from shake_mm import switches
from shake_mm.checks import build_runner
from shake_mm.engine.stages import build_stages
from shake_mm.errors import UsageError
from tests.conftest import classifier
from tests.support.runs import run_config

BY_ITERATIONS = dict(type='IterBasedTrainLoop', max_iters=8, val_interval=8)
STAGES = dict(first=dict(until=3, terms=['task'], by_epoch=False), rest=dict(reset_optimizer=True))


@HOOKS.register_module()
class NoteStages(Hook):
    """Notes, by iteration, the stage and the factor of the warm-up; may end the run."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.seen, self.stop = {}, None

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        model = runner.model
        active = 'kd' in model.plan.terms
        assert active == ('loss_kd' in outputs)
        self.seen[runner.iter] = (model.stages[model.stage_index].name, model.terms['kd'].factor)
        if runner.iter + 1 == self.stop:
            raise KeyboardInterrupt


@pytest.fixture
def run(trained, tmp_path):
    """Train for 8 iterations, 4 an epoch; returns the runner and what was noted."""
    teacher = classifier(8, classes=100)
    checkpoint = trained(teacher)

    def run(name, warmup=0, stages=None, stop=None, resume=False, exact=False, **changes):
        kd = dict(of='student.logits', to='teacher0.logits', loss=dict(type='KLDivLoss'), warmup=warmup, by_epoch=False)
        model = dict(
            type='shake_mm.Distiller',
            student=classifier(6, classes=100),
            teachers=dict(config=teacher, checkpoint=checkpoint),
            terms=dict(task=dict(of='student'), kd=kd),
            stages=stages,
        )
        (tmp_path / name).mkdir(exist_ok=True)
        cfg = run_config(model, tmp_path / name, epochs=2, **changes)
        cfg.experiment_name = f'{tmp_path.name}_{name}_{resume}'
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=1)
        cfg.custom_hooks += [dict(type='NoteStages')]
        cfg.resume = resume
        if exact:
            switches.make_exact(cfg)
            cfg.custom_hooks.pop()  # PreemptionHook would take the signal
        runner = build_runner(cfg, 'train')
        notes = next(hook for hook in runner.hooks if isinstance(hook, NoteStages))
        notes.stop = stop
        if stop is None:
            runner.train()
        else:
            with pytest.raises(KeyboardInterrupt):
                runner.train()
        return runner, notes.seen

    return run


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler', None])
def test_both_loops_count_iterations(sampler, run, tmp_path):
    """The third loop, without a sampler of its own, is the one by epochs: a stage begins within one."""
    changes = {}
    if sampler is not None:
        changes = dict(train_cfg=BY_ITERATIONS)
        loader = run_config(classifier(), tmp_path).train_dataloader._to_lazy_dict()
        changes['train_dataloader'] = {**loader, 'sampler': dict(type=sampler, shuffle=True)}
    runner, seen = run('run', warmup=5, stages=STAGES, **changes)
    assert [name for name, _ in seen.values()] == ['first'] * 3 + ['rest'] * 5
    assert [factor for _, factor in seen.values()] == [0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1]
    assert runner.iter == 8


def test_a_resumed_run_goes_on_in_its_stage(run):
    """By mmengine's loop by iterations."""
    _, seen = run('run', warmup=8, stages=STAGES, stop=5, train_cfg=BY_ITERATIONS)
    _, again = run('run', warmup=8, stages=STAGES, resume=True, train_cfg=BY_ITERATIONS)
    assert list(seen) == [0, 1, 2, 3, 4] and list(again)[-1] == 7 and set(again) <= {4, 5, 6, 7}
    assert all(value == ('rest', (i + 1) / 8) for i, value in again.items())


@pytest.mark.parametrize('stop', [2, 3, 6])
def test_an_exact_run_resumes_in_a_stage_as_if_it_had_not_stopped(stop, run):
    """Before, at and after the iteration at which a stage begins and the optimizer forgets."""
    whole, _ = run('whole', warmup=6, stages=STAGES, exact=True)
    run(f'stopped{stop}', warmup=6, stages=STAGES, exact=True, stop=stop)
    resumed, seen = run(f'stopped{stop}', warmup=6, stages=STAGES, exact=True, resume=True)
    assert min(seen) <= stop and max(seen) == 7
    for key, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(stages=dict(a=dict(until=2), b={})), r'stages.a: `until` counts epochs.*by_epoch=False beside it'),
        (dict(warmup=3), 'terms.kd: `warmup` counts epochs.*by_epoch=False beside it'),
    ],
)
def test_what_counts_epochs_is_refused_in_a_training_without(changes, message, trained, tmp_path):
    teacher = classifier(8, classes=100)
    kd = dict(of='student.logits', to='teacher0.logits', loss=dict(type='KLDivLoss'), warmup=changes.get('warmup', 0))
    model = dict(
        type='shake_mm.Distiller',
        student=classifier(6, classes=100),
        teachers=dict(config=teacher, checkpoint=trained(teacher)),
        terms=dict(task=dict(of='student'), kd=kd),
        stages=changes.get('stages'),
    )
    with pytest.raises(UsageError, match=message):
        build_runner(run_config(model, tmp_path, train_cfg=BY_ITERATIONS), 'train')


def test_epochs_that_never_end_are_refused(tmp_path):
    cfg = run_config(classifier(classes=100), tmp_path, custom_hooks=[])
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    with pytest.raises(UsageError, match="never ends an epoch.*type='IterBasedTrainLoop'"):
        build_runner(cfg, 'train')


@pytest.mark.parametrize(
    ('stages', 'message'),
    [
        (dict(a=dict(until=2, by_epoch=False), b=dict(until=3), c={}), r'stages.b: by_epoch is True here and False in'),
        (dict(a=dict(until=2, by_epoch=False, adds_epochs=True), b={}), 'stages.a: adds_epochs=True adds epochs'),
        (dict(a=dict(until=2, by_epoch=1), b={}), 'stages.a'),
    ],
)
def test_stages_that_cannot_be_meant(stages, message):
    with pytest.raises(UsageError, match=message):
        build_stages(stages)
