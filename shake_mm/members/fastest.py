"""The fastest way for a frozen teacher to compute on the device at hand, found by measuring."""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import MessageHub, print_log
from torch import Tensor, nn

from ..compat.torch_names import tree_leaves
from ..errors import UsageError
from ..tasks import Task
from ..utils import copy_module
from .inference import Inference, changed_by_folding

SECONDS = 2.0
"""How long all ways together are measured."""
PASS = 0.1
"""A batch is cut so that a pass of the plain network takes about so many seconds at most."""
GAIN = 0.95
"""A way is taken for this share of the plain network's time at most: what is within the noise changes nothing."""


class Trial(NamedTuple):
    """What was found of a way.

    Args:
        inference (Inference): The way.
        ratio (float): Its time over the plain network's, measured in turns; the median.
        error (float): The largest difference of what it makes, over the largest value of that.
    """

    inference: Inference
    ratio: float
    error: float


def fastest(name: str, network: nn.Module, task: Task, inputs: Tensor, wanted: Inference) -> Inference:
    """Find the fastest way within the bound of ``wanted``, and say so in the log.

    A run that goes on takes the way that it had taken, whatever would be measured now: it is kept among what mmengine
    writes into each checkpoint. All processes take the first one's.

    Args:
        name (str): The teacher's.
        network (nn.Module): The teacher; it stays as it is.
        task (Task): How it runs.
        inputs (Tensor): A batch as it sees it, on its device.
        wanted (Inference): With ``auto``, ``bound`` and perhaps ``compile``.
    """
    hub, key = MessageHub.get_current_instance(), f'inference/{name}/{sum(p.numel() for p in network.parameters())}'
    known = hub.get_info(key)
    if known is None:
        chosen = [_measured(name, network, task, inputs, wanted) if is_main_process() else Inference()]
        broadcast_object_list(chosen)
        known = json.dumps(asdict(chosen[0]))
        hub.update_info(key, known)
    return Inference(**json.loads(known))


def _measured(name: str, network: nn.Module, task: Task, inputs: Tensor, wanted: Inference) -> Inference:
    run = _timer(task, inputs)
    took, _ = run(network)  # the first pass of all pays for what the device sets up
    took, _ = run(network)
    inputs = inputs[: max(1, int(len(inputs) * PASS / max(took, PASS)))]
    run = _timer(task, inputs)
    ways = list(_ways(network, task, inputs, wanted))
    trials = [trial for way in ways if (trial := _trial(network, task, run, inputs, way, SECONDS / len(ways)))]
    within = [trial for trial in trials if trial.error <= wanted.bound]
    best = min(within, key=lambda trial: trial.ratio, default=None)
    if best is None or best.ratio > GAIN:
        best = Trial(Inference(), 1.0, 0.0)
    if wanted.compile:
        best = best._replace(inference=replace(best.inference, compile=wanted.compile))
    tried = ', '.join(f'{trial.inference.words} {trial.ratio:.2f} ({trial.error:.2g})' for trial in trials)
    print_log(
        f'{name} computes in {best.inference.words}: {best.ratio:.2f} of the time, off by at most {best.error:.2g} of '
        f'the largest value (bound {wanted.bound:g}). Measured, with what they are off by: {tried or "nothing else"}.',
        'current',
    )
    return best.inference


def _ways(network: nn.Module, task: Task, inputs: Tensor, wanted: Inference) -> Iterator[Inference]:
    """The ways to try: those that change least first."""
    folds = [False]
    if changed_by_folding(network, lambda: task.forward_trunk(network, inputs)):
        folds.append(True)
    for dtype in ('float32', 'float16', 'bfloat16'):
        for fuse_bn in folds:
            for channels_last in (False, True):
                way = Inference(dtype=dtype, channels_last=channels_last, fuse_bn=fuse_bn)
                if way != Inference() and (dtype == 'float32' or channels_last):  # halved ones are slow otherwise
                    yield way


def _trial(
    network: nn.Module, task: Task, run: Callable, inputs: Tensor, way: Inference, seconds: float
) -> Trial | None:
    """Measure a way on a copy, in turns with the plain network; None if it does not work here."""
    copy = copy_module(network).eval().requires_grad_(False)
    try:
        way.fold(copy, lambda: task.forward_trunk(copy, inputs), 'auto')
        way.apply(task.heavy_layers(copy))
        end = time.perf_counter() + seconds
        ratios: list[float] = []
        _, made = run(copy)
        while not ratios or time.perf_counter() < end:
            plain, wanted = run(network)
            own, made = run(copy)
            ratios.append(own / plain)
    except (RuntimeError, NotImplementedError, UsageError):  # a device without such instructions, say
        return None
    pairs = list(zip(tree_leaves(made), tree_leaves(wanted)))
    errors = [float((a.float() - b).abs().max() / b.abs().max().clamp(min=1e-12)) for a, b in pairs]
    worst = max((float('inf') if error != error else error for error in errors), default=0.0)
    return Trial(way, statistics.median(ratios), worst)


def _timer(task: Task, inputs: Tensor) -> Callable[[nn.Module], tuple[float, Any]]:
    """What runs a network once, and gives the seconds that it takes and what it makes."""
    wait = torch.cuda.synchronize if inputs.device.type == 'cuda' else lambda: None

    def run(network: nn.Module) -> tuple[float, Any]:
        wait()
        start = time.perf_counter()
        made = task.forward_trunk(network, inputs)
        wait()
        return time.perf_counter() - start, made

    return run
