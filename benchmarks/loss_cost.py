"""Time and peak memory of the two losses whose usual form is wasteful, beside that form.

Public code builds, for NST, the products of all pairs of channels position by position, (N, C_s, C_t, H * W), and, for
RKD, the differences of all pairs of samples, (N, N, D). Each figure is taken in a process of its own, forked from one
that has imported everything and computed nothing. On the CPU the memory is what the process's resident set grows by at
its peak, over that before the step; on a GPU it is the peak of torch's allocator over the inputs.
"""

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from shake_mm.errors import UsageError
from shake_mm.losses import neuron_selectivity, relational_kd

MEBIBYTE = 2**20


def naive_neuron_selectivity(feature: Tensor, target: Tensor) -> Tensor:
    """NST with every product of the kernel written out: maps (N, C, H, W) of equal size."""

    def mean_kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x[:, :, None] * y[:, None]).sum(-1).pow(2).mean()

    s, t = (F.normalize(x.flatten(2), dim=2) for x in (feature, target))
    return mean_kernel(t, t) + mean_kernel(s, s) - 2 * mean_kernel(s, t)


def naive_relational_kd(feature: Tensor, target: Tensor) -> Tensor:
    """RKD with the unit vectors between all pairs of samples written out: features (N, ...)."""

    def relations(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.flatten(1)
        squares = x.pow(2).sum(1)
        distances = (squares[:, None] + squares - 2 * x @ x.t()).clamp(min=1e-12).sqrt()
        distances = distances * (1 - torch.eye(len(x), device=x.device))
        units = F.normalize(x[None] - x[:, None], dim=2)
        return distances / distances[distances > 0].mean(), units @ units.mT

    s, t = relations(feature), relations(target)
    return 25 * F.smooth_l1_loss(s[0], t[0]) + 50 * F.smooth_l1_loss(s[1], t[1])


LOSSES: dict[str, dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    'NST': {'ours': neuron_selectivity, 'naive': naive_neuron_selectivity},
    'RKD': {'ours': relational_kd, 'naive': naive_relational_kd},
}


class Cost(NamedTuple):
    """The cost of one forward and backward pass.

    Args:
        seconds: Median over the rounds.
        mebibytes: Peak memory beyond the two features.
    """

    seconds: float
    mebibytes: float


def cost_of(loss: str, form: str, shape: Sequence[int], device: str = 'cpu', rounds: int = 5, threads: int = 1) -> Cost:
    """Measure one form of one loss in a fresh process.

    Args:
        loss (str): ``'NST'`` or ``'RKD'``.
        form (str): ``'ours'`` or ``'naive'``.
        shape (Sequence[int]): Shape of both features, with the batch.
        device (str): Device of torch. Defaults to ``'cpu'``.
        rounds (int): How often the time is taken. Defaults to 5.
        threads (int): Threads of torch. Defaults to 1.

    Raises:
        UsageError: If the process was killed, which the system does when memory is short.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        try:
            return executor.submit(_measure, loss, form, tuple(shape), device, rounds, threads).result()
        except BrokenProcessPool as error:
            raise UsageError(f'{loss} ({form}) was killed, probably for its memory: measure smaller shapes.') from error


def _measure(loss: str, form: str, shape: tuple[int, ...], device: str, rounds: int, threads: int) -> Cost:
    torch.set_num_threads(threads)
    function = LOSSES[loss][form]
    _step(function, *_features((2,) * len(shape), device))  # loads code and libraries, which is not counted
    inputs = _features(shape, device)
    before = _peak(device, restart=True)
    _step(function, *inputs)
    memory = _peak(device) - before
    return Cost(statistics.median(_timed(function, inputs, device) for _ in range(rounds)), memory / MEBIBYTE)


def _features(shape: tuple[int, ...], device: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    feature, target = (torch.randn(shape, generator=generator).to(device) for _ in range(2))
    return feature.requires_grad_(), target


def _step(function: Callable[[Tensor, Tensor], Tensor], feature: Tensor, target: Tensor) -> None:
    torch.autograd.grad(function(feature, target), feature)


def _timed(function: Callable[[Tensor, Tensor], Tensor], inputs: tuple[Tensor, Tensor], device: str) -> float:
    start = _now(device)
    _step(function, *inputs)
    return _now(device) - start


def _now(device: str) -> float:
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _peak(device: str, restart: bool = False) -> int:
    """The most bytes so far; on a GPU since the last ``restart``, on the CPU since the process began."""
    if torch.device(device).type == 'cuda':
        if restart:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
