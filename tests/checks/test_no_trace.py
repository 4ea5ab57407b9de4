"""The checks before a run leave the model as it was: bit for bit, hook for hook, mode for mode."""

import copy

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from shake_mm.checks.data import check_data
from shake_mm.registry import MODELS

from ..engine.test_lifecycle import PAIR, config_of, shadowed
from ..support.detectors import scenes

HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
CLASSIFIERS = ('shake', 'crd', 'ft', 'shake-sbn-w50', 'shake-fusion', 'review', 'dml')
DETECTORS = ('retinanet', 'rtmdet', 'faster_rcnn', 'cascade_rcnn')


def snapshot(model):
    """All that a check could change: tensors, who asks for gradients, modes, hooks, and the random numbers to come."""
    teachers = [(name, module) for name, member in model.members.frozen.items() for module in member.modules()]
    layers = [*model.named_modules(), *teachers]
    tensors = {f'{i}.{key}': t for i, (_, layer) in enumerate(layers) for key, t in own_tensors(layer)}
    return dict(
        tensors={key: (id(t), t.detach().clone(), t.requires_grad, t.grad is None) for key, t in tensors.items()},
        modes=[layer.training for _, layer in layers],
        hooks=[[id(hook) for kind in HOOKS for hook in getattr(layer, kind).values()] for _, layer in layers],
        attributes=[sorted(vars(layer)) for _, layer in layers],
        held=[len(recorder.values) for recorder in model.taps._recorders.values()],
        stage=(model.stage_index, [term.factor for term in model.terms.values()]),
        random=torch.get_rng_state(),
    )


def own_tensors(layer):
    return [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]


def assert_same(before, after):
    assert before['tensors'].keys() == after['tensors'].keys()
    for key, (identity, value, *flags) in before['tensors'].items():
        now = after['tensors'][key]
        assert (identity, *flags) == (now[0], *now[2:]) and torch.equal(value, now[1]), key
    for part in ('modes', 'hooks', 'attributes', 'held', 'stage'):
        assert before[part] == after[part], part
    assert torch.equal(before['random'], after['random'])


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_the_checks_of_a_classifier_leave_no_trace(name):
    """Of images of 16 pixels, where the parts were fitted at 32: the objective itself is tried out."""
    cfg = config_of(f'{name.split("-")[0]}/{name}_{PAIR}.py')
    model = MODELS.build(cfg.model).train()
    model.enter_stage(0)
    loader = Runner.build_dataloader(cfg.train_dataloader)
    before = snapshot(model)
    check_data(loader, 'train_dataloader', cfg.train_dataloader.dataset, model)
    assert_same(before, snapshot(model))


@pytest.mark.parametrize('kind', DETECTORS)
def test_the_checks_of_a_detector_leave_no_trace(kind):
    model, _ = shadowed(kind)
    model.train()
    data = scenes(4)
    samples = [dict(inputs=image, data_samples=sample) for image, sample in zip(data['inputs'], data['data_samples'])]
    before = snapshot(model)
    check_data(DataLoader(samples, batch_size=2, collate_fn=pseudo_collate), 'train_dataloader', None, model)
    assert_same(before, snapshot(model))
    copy.deepcopy(model)  # as EMAHook does, after the checks
