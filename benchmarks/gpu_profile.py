"""What a training step does on a device: kernels, the gaps between them, and waits of the host."""

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_checks import Bench
from benchmarks.training import train_step

SYNCS = ('cudaStreamSynchronize', 'cudaDeviceSynchronize', 'cudaEventSynchronize', 'aten::_local_scalar_dense')
"""Events in which the host waits for the device."""


def profile_step(bench: Bench, method: str = 'shake', steps: int = 5) -> dict[str, Any]:
    """Profile training steps of a method.

    Args:
        bench (Bench): Pair and device.
        method (str): Key of ``METHODS``. Defaults to ``'shake'``.
        steps (int): Steps that are profiled, after three others.

    Returns:
        dict: Milliseconds a step (unprofiled), kernels a step, milliseconds of kernels and of the gaps between them,
        the share of the time in which kernels run, waits of the host, and the kernels that take longest.
    """
    cuda = bench.device.startswith('cuda')
    step = train_step(bench.model(method), bench.data())
    wait = torch.cuda.synchronize if cuda else lambda: None
    for _ in range(3):
        step()
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    seconds = (time.perf_counter() - start) / steps
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as record:
        for _ in range(steps):
            step()
    events = list(record.events())
    kernels = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
    spans = [(event.time_range.start, event.time_range.end) for event in kernels]
    busy, whole = covered(spans), (max(end for _, end in spans) - min(begin for begin, _ in spans)) if spans else 0
    syncs = {name: sum(event.name == name for event in events) for name in SYNCS}
    if cuda:
        syncs['cudaDeviceSynchronize'] = max(0, syncs['cudaDeviceSynchronize'] - 1)  # the profiler's own, at its end
    longest: dict[str, float] = {}
    for event in kernels or [event for event in events if event.cpu_parent is None]:
        name = event.name[:60]
        longest[name] = longest.get(name, 0) + event.time_range.elapsed_us() / 1000 / steps
    return {
        'ms': 1000 * seconds,
        'kernels': len(kernels) / steps,
        'kernel_ms': busy / 1000 / steps,
        'gap_ms': (whole - busy) / 1000 / steps,
        'busy': busy / whole if whole else None,
        'syncs': {name: number / steps for name, number in syncs.items() if number},
        'longest': dict(sorted(longest.items(), key=lambda item: -item[1])[:8]),
    }


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of intervals, which may overlap where streams run side by side."""
    total, last = 0.0, float('-inf')
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, last))
        last = max(last, end)
    return total
