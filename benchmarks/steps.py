"""The training steps that the benchmark compares: plain loops, our distillers, and external baselines.

Every training step starts from the same batch of raw 8-bit images and ends with updated weights: normalization,
forward passes, losses, backward pass, SGD with momentum and weight decay, zeroed gradients. Ours is the whole
``model.train_step(data, optim_wrapper)`` that mmengine's loop calls, with the data preprocessor and all log values. The
plain loops of a classifier are what one would write by hand; a detector's is mmdet's own ``train_step``. Loading of
data and hooks of the Runner are in none of them.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from benchmarks.external_baselines import CachedStep, filled_cache, mmrazor_step
from benchmarks.plain_loops import loops_for
from benchmarks.training import METHODS, Size, Step, initialized, quiet, train_step
from shake_mm.members import MemberSpec
from shake_mm.tasks import task_of

ROWS = {
    'plain_student': 'student step, plain',
    'teacher': 'teacher forward, no gradients',
    'branch': 'shadow branch alone',
    'plain_kd': 'KD step, plain',
    'mmrazor_kd': 'KD step, mmrazor',
    'baseline': 'Baseline step, shake_mm',
    'kd': 'KD step, shake_mm',
    'shake': 'SHAKE step, shake_mm',
    'dml': 'DML step, shake_mm',
    'shake_fused': 'SHAKE step, shake_mm, fused SGD',
    'shake_compiled': 'SHAKE step, shake_mm, compiled',
    'kd_cached': 'KD step, shake_mm, teacher cached',
    'shake_cached': 'SHAKE step, shake_mm, teacher cached',
    'shake_cold': 'SHAKE step, shake_mm, cache on disk',
    'shake_cached_compiled': 'SHAKE step, shake_mm, teacher cached, student compiled',
}
RATIOS = {
    'shake/kd': ('shake', ('kd',)),
    'shake/plain_kd': ('shake', ('plain_kd',)),
    'shake/(plain_student+teacher)': ('shake', ('plain_student', 'teacher')),
    'shake/(plain_student+teacher+branch)': ('shake', ('plain_student', 'teacher', 'branch')),
    'kd/(plain_student+teacher)': ('kd', ('plain_student', 'teacher')),
    'kd/plain_kd': ('kd', ('plain_kd',)),
    'baseline/kd': ('baseline', ('kd',)),
    'baseline/plain_student': ('baseline', ('plain_student',)),
    'dml/kd': ('dml', ('kd',)),
    'dml/shake': ('dml', ('shake',)),
    'shake_fused/shake': ('shake_fused', ('shake',)),
    'shake_compiled/shake': ('shake_compiled', ('shake',)),
    'mmrazor_kd/plain_kd': ('mmrazor_kd', ('plain_kd',)),
    'shake/mmrazor_kd': ('shake', ('mmrazor_kd',)),
    'kd_cached/plain_student': ('kd_cached', ('plain_student',)),
    'shake_cached/plain_student': ('shake_cached', ('plain_student',)),
    'shake_cold/plain_student': ('shake_cold', ('plain_student',)),
    'shake_cached_compiled/plain_student': ('shake_cached_compiled', ('plain_student',)),
    'shake_cached/baseline': ('shake_cached', ('baseline',)),
    'shake_cached/plain_kd': ('shake_cached', ('plain_kd',)),
    'shake_cached/mmrazor_kd': ('shake_cached', ('mmrazor_kd',)),
}


def build_steps(
    student: Any,
    teacher: Any,
    methods: Sequence[str] | None,
    batch_size: int,
    image_size: Size,
    device: str,
    mmrazor: bool = False,
    cache: str | None = None,
    lean: bool = False,
) -> dict[str, Step]:
    """Build the steps to compare, each with its own networks and optimizer; all students start from the same weights.

    Args:
        student (str | dict): The student's config, see :meth:`MemberSpec.parse`.
        teacher (str | dict): The teacher's config. Its weights are random: they do not change the time.
        methods (sequence of str, optional): Keys of ``METHODS``. Defaults to the task's own choice.
        batch_size (int): Images a batch.
        image_size (int | tuple[int, int]): Height and width.
        device (str): Device of torch.
        mmrazor (bool): Whether mmrazor's KD takes part. Defaults to False.
        cache (str, optional): Folder for a cache of CIFAR's size (1.62 GB for 100 classes), from which KD and SHAKE
            are timed too.
        lean (bool): Whether SHAKE takes part with a fused optimizer, and compiled. Defaults to False.

    Returns:
        dict[str, Callable]: One training step (for ``teacher``: one forward pass) by key of ``ROWS``.
    """
    torch.manual_seed(0)
    spec = MemberSpec.parse('student', student)
    with quiet():
        networks = [initialized(s.build()) for s in (spec, MemberSpec.parse('teacher', teacher))]
        plain = loops_for(task_of(networks[0]))
        size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
        data = plain.batch(networks[0], batch_size, size)
        steps = plain.steps(*networks, data, device)

        def ours(name: str, teacher: Any, **settings: Any) -> nn.Module:
            model = METHODS[name](student=copy.deepcopy(spec.config), teachers=[teacher], **settings)
            model.student.load_state_dict(networks[0].state_dict())
            return model.to(device).train()

        for name in plain.methods if methods is None else methods:
            steps[name] = train_step(ours(name, copy.deepcopy(networks[1])), data)
        # On a GPU a small network waits for its launches, which CUDA graphs do without.
        options = dict(mode='reduce-overhead') if device.startswith('cuda') else True
        if lean:
            compiled = dict(config=copy.deepcopy(networks[1]), inference=dict(compile=options))
            steps['shake_fused'] = train_step(ours('shake', copy.deepcopy(networks[1])), data, fused=True)
            steps['shake_compiled'] = train_step(ours('shake', compiled, compile=options), data)
        if mmrazor:
            steps['mmrazor_kd'] = mmrazor_step(*networks, data, device)
        if cache is not None:
            filled = filled_cache(cache, networks[1].head.num_classes)
            own = (networks[0], spec.config, networks[1], data, device, filled)
            for row, method in (('kd_cached', 'kd'), ('shake_cached', 'shake'), ('shake_cold', 'shake')):
                steps[row] = CachedStep(method, *own, cold=row == 'shake_cold')
            if lean:
                steps['shake_cached_compiled'] = CachedStep('shake', *own, compile=options)
    return steps
