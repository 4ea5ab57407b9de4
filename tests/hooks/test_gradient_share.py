"""The guard of shares in the gradient: nothing changes by it, and it warns of a weight that is too large."""

import copy
import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS, OPTIM_WRAPPERS
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch import distributed

from shake_mm.compat.process_group import leave_process_group
from shake_mm.engine.gradient_shares import ShareMeter
from shake_mm.errors import UsageError
from shake_mm.hooks import GradientShareHook
from shake_mm.hooks import gradient_share as guard
from shake_mm.registry import MODELS

from ..engine.test_distributed import free_port, launch
from ..support.runs import run_config


def guarded(config, **options):
    config.custom_hooks = [*config.custom_hooks, dict(type='shake_mm.GradientShareHook', **options)]
    return config


def trained_states(config):
    """All that a run leaves behind, and where its generator stands."""
    runner = Runner.from_cfg(config)
    runner.train()
    return runner, {**runner.model.state_dict(), 'generator': torch.get_rng_state()}


def warnings_of(folder):
    text = next(folder.glob('*/*.log')).read_text()
    return [line for line in text.splitlines() if 'of the gradient' in line]


@HOOKS.register_module()
class SeesGradients(Hook):
    """Notes every gradient that a parameter gets, as hooks of others may."""

    def before_train(self, runner):
        self.seen = []
        for parameter in runner.model.parameters():
            if parameter.requires_grad:
                parameter.register_hook(lambda gradient: self.seen.append(gradient.double().sum()))


@OPTIM_WRAPPERS.register_module()
class Autocast(OptimWrapper):
    """mmengine's AmpOptimWrapper, which wants an accelerator, for bfloat16 on a CPU."""

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield


CASES = dict(
    plain=dict(),
    accumulating=dict(
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9), accumulative_counts=3),
    ),
    autocast=dict(
        optim_wrapper=dict(type='Autocast', optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
    ),
)


@pytest.mark.parametrize('case', CASES)
def test_training_is_the_same_to_the_bit(case, shake, tmp_path):
    """Weights, statistics of BatchNorm, dropout's generator, and what hooks of others see of the gradients."""
    shake['student']['neck'] = [shake['student']['neck']]
    shake['terms'] = dict(
        hint=dict(
            of='student.f2', to='teacher*.f2', loss=dict(type='FitNetsLoss'), connector=dict(type='ConvRegressor')
        )
    )
    shake['student']['head'] = dict(
        type='StackedLinearClsHead', num_classes=100, in_channels=6, mid_channels=[8], dropout_rate=0.5
    )
    ends = []
    for hooked in (False, True):
        folder = tmp_path / str(hooked)
        config = run_config(copy.deepcopy(shake), folder, epochs=2, **copy.deepcopy(CASES[case]))
        config.custom_hooks.append(dict(type='SeesGradients'))
        runner, end = trained_states(guarded(config, interval=2) if hooked else config)
        seen = next(hook.seen for hook in runner.hooks if isinstance(hook, SeesGradients))
        ends.append({**end, 'gradients': torch.stack(seen)})
        shares = [key for key in runner.message_hub.log_scalars if key.startswith('train/share/')]
        assert len(shares) == (5 if hooked else 0)
    assert ends[0].keys() == ends[1].keys()
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key


def test_shares_are_logged(shake, tmp_path):
    trained_states(guarded(run_config(shake, tmp_path, epochs=2), interval=4))
    rows = [json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    rows = [row for row in rows if 'share/task' in row]
    names = {'share/task', 'share/student_from_proxy', 'share/proxy_from_teacher', 'share/proxy_from_student'}
    assert [row['step'] for row in rows] == [4, 6, 8]  # measured after 4 and 8 steps, logged every second one
    for row in rows:
        assert names <= set(row) and sum(row[name] for name in names) == pytest.approx(1, abs=1e-4)


SLOW = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)))
"""The teacher of these tests is wild, and a student that follows it at once has no gradient left."""


def test_a_weight_that_is_too_large_is_told_of_once(shake, tmp_path):
    config = run_config({**shake, 'type': 'shake_mm.KD', 'lam': 20.0}, tmp_path, epochs=2, **SLOW)
    trained_states(guarded(config, interval=2))
    (line,) = warnings_of(tmp_path)
    assert 'terms.student_from_teacher makes 99.' in line and 'max_share=0.99' in line
    assert 'lower model.lam or model.terms.student_from_teacher.weight (its weight is 20)' in line


def test_a_weight_as_the_papers_is_not(shake, tmp_path):
    config = run_config({**shake, 'type': 'shake_mm.KD', 'tau': 1.0}, tmp_path, epochs=2, **SLOW)
    trained_states(guarded(config, interval=2))
    assert not warnings_of(tmp_path)


def test_a_task_that_loses_is_told_of(shake, tmp_path):
    """A teacher that is wrong, of whom the student learns fast: its own loss rises over what it was."""
    config = run_config({**shake, 'type': 'shake_mm.KD'}, tmp_path, epochs=3)
    trained_states(guarded(config, interval=4, max_share=1.0))
    (line,) = warnings_of(tmp_path)
    assert 'student.loss has risen from 4.' in line and 'at the end of the warm-up' in line
    assert 'terms.student_from_teacher makes' in line and 'lower model.lam' in line


def test_stages_without_a_task_are_only_measured(shake, tmp_path):
    shake['stages'] = dict(
        init=dict(until=1, terms=['proxy_from_teacher', 'proxy_from_student']),
        main=dict(terms=['task', 'student_from_proxy']),
    )
    runner, _ = trained_states(guarded(run_config(shake, tmp_path, epochs=2), interval=2))
    assert not warnings_of(tmp_path)
    # those of terms that the stage no longer has are not logged for ever
    shares = {key.rpartition('/')[2] for key in runner.message_hub.log_scalars if '/share/' in key}
    assert shares == {'task', 'student_from_proxy'}


def test_a_student_that_cannot_be_measured_trains(make_classifier, tmp_path):
    model = dict(type='shake_mm.Baseline', student=make_classifier(classes=100))
    runner = Runner.from_cfg(guarded(run_config(model, tmp_path, log_level='INFO'), interval=2))
    runner.model.student.backbone.compile(backend='eager')
    runner.train()
    assert (
        'GradientShareHook measures nothing: gradients inside of a compiled'
        in next(tmp_path.glob('*/*.log')).read_text()
    )


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(interval=0), 'interval=0 must be a number of iterations, 1 or more'),
        (dict(max_share=1.5), 'max_share=1.5 is a share: give a number up to 1'),
        (dict(max_share=-0.1), 'max_share'),
    ],
)
def test_refusals(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        GradientShareHook(**options)


# ------------------------------------------------------------------------------------------------ by itself


def term(name, **facts):
    own = name == 'task'
    makes = (lambda key: key.startswith('student.')) if own else (lambda key: key == f'loss_{name}')
    return SimpleNamespace(
        name=name, of='student', loss=None if own else 1, warmup=0, by_epoch=True, makes=makes, **facts
    )


def risen(histories, schedulers=(), every=2, warmup=0):
    """What the hook says of losses that a run has logged, two steps an interval."""
    hub = MessageHub(f'guard{id(histories)}')
    for key, values in histories.items():
        for value in values:
            hub.update_scalar(f'train/{key}', value)
    hook = GradientShareHook(interval=every)
    hook._every = every
    terms = [term('task'), term('kd')]
    terms[1].warmup = warmup
    runner = SimpleNamespace(message_hub=hub, param_schedulers=list(schedulers), train_dataloader=range(2))
    return hook._risen(runner, terms)


FALLING = [4.0, 4.0, 3.0, 3.0, 2.0, 2.0, 1.0, 1.0]


@pytest.mark.parametrize(
    'boxes, divergence, warmup, expected',
    [
        ([1, 1, 1.2, 1.2, 1.2, 1.2, 1.4, 1.4], FALLING, 0, ('student.loss_bbox', 1.0, 1.4)),
        ([1, 1, 1.2, 1.2, 1.2, 1.2, 1.4, 1.4], FALLING[::-1], 0, None),  # no divergence falls
        ([1, 1, 1, 1, 1, 1, 1.4, 1.4], FALLING, 0, None),  # for one interval alone
        ([1, 1, 1.05, 1.05, 1.05, 1.05, 1.08, 1.08], FALLING, 0, None),  # within the margin
        ([1, 1, 2, 2, 1.9, 1.9, 1.8, 1.8], FALLING, 2, None),  # it is compared with the end of the warm-up
        ([0, 0, 1, 1, 1.3, 1.3, 1.4, 1.4], FALLING, 2, ('student.loss_bbox', 1.0, 1.4)),
        ([1, 1, 1.3, 1.3], FALLING[:4], 0, None),  # too early
    ],
)
def test_what_counts_as_a_rise(boxes, divergence, warmup, expected):
    classes = [1.0] * len(boxes)
    found = risen({'student.loss_bbox': boxes, 'student.loss_cls': classes, 'loss_kd': divergence}, warmup=warmup)
    assert found == (None if expected is None else (expected[0], *map(pytest.approx, expected[1:])))


def test_the_warm_up_of_the_learning_rate(shake, tmp_path):
    schedules = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
        dict(type='ConstantLR', factor=0.5, by_epoch=True, begin=0, end=2),
        dict(type='MultiStepLR', by_epoch=True, milestones=[1, 9]),
    ]
    runner = Runner.from_cfg(run_config(shake, tmp_path, param_scheduler=schedules))
    runner.train()
    assert guard.warmup_of(runner) == 8


@pytest.fixture
def one_process(tmp_path):
    distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    yield
    leave_process_group()


@pytest.mark.parametrize('static', [False, True])
def test_nothing_more_is_reduced(static, shake, one_process):
    """DistributedDataParallel sends its buckets once a step, with the meter as without it."""
    model = MODELS.build(shake).train()
    wrapped = MMDistributedDataParallel(model, static_graph=static)
    sent = []

    def note(state, bucket):
        sent.append(bucket.buffer().clone())
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    wrapped.register_comm_hook(None, note)
    torch.manual_seed(0)
    images = torch.rand(4, 3, 16, 16)
    data = dict(inputs=images, data_samples=[DataSample().set_gt_label(i) for i in range(4)])
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.0))
    reductions = []
    for hooked in (False, False, True, False):  # after the first step buckets are made anew
        meter = ShareMeter(model) if hooked else None
        sent.clear()
        wrapped.train_step(copy.deepcopy(data), optimizer)
        reductions.append(list(sent))
        if meter is not None:
            meter.close()
            assert len(meter.found[0].norms) == 4
    _, before, measured, after = reductions
    assert before and len(before) == len(measured) == len(after)
    before, measured, after = (torch.cat(buckets).sort().values for buckets in (before, measured, after))
    assert torch.equal(before, after) and torch.equal(before, measured)


@pytest.mark.slow
def test_two_processes(shake, tmp_path):
    """No extra reduction: the weights are those of a run without the guard, in both processes."""
    ends = []
    for hooked in (False, True):
        folder = tmp_path / str(hooked)
        folder.mkdir()
        config = run_config(shake, folder, epochs=1)
        (guarded(config, interval=1) if hooked else config).dump(folder / 'config.py')
        result = launch(['bash', 'tools/dist_train.sh', folder / 'config.py', 2], PORT=str(free_port()))
        assert result.returncode == 0, result.stderr[-3000:]
        ends.append(torch.load(folder / 'epoch_1.pth', weights_only=True)['state_dict'])
        logged = next(folder.glob('*/vis_data/scalars.json')).read_text()
        assert ('share/task' in logged) is hooked
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())
