"""Time and memory of training steps, paired: all take turns in one process, so that a busy machine slows all alike.

Which steps there are, and what a step includes, is said in :mod:`benchmarks.steps`.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from benchmarks.cells import cell_steps
from benchmarks.memory import peak_bytes
from benchmarks.steps import RATIOS, build_steps
from benchmarks.training import Size, Step
from shake_mm.grid.provenance import hardware

Timer = Callable[[Step], float]


class Spread(NamedTuple):
    """Median, smallest and largest value over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> 'Spread':
        """Summarize the values of all rounds."""
        return cls(statistics.median(values), min(values), max(values))


class Timing(NamedTuple):
    """The measurements of a benchmark.

    Args:
        seconds (dict[str, Spread]): Seconds a step by row, see ``ROWS``.
        bytes (dict[str, int]): Memory of a step by row, see :mod:`.memory`.
        ratios (dict[str, Spread]): Ratios of two rows within the same round, see ``RATIOS``.
        setting (dict): Hardware, versions and options.
    """

    seconds: dict[str, Spread]
    bytes: dict[str, int]
    ratios: dict[str, Spread]
    setting: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return {
            'setting': self.setting,
            'seconds': {key: value._asdict() for key, value in self.seconds.items()},
            'bytes': self.bytes,
            'ratios': {key: value._asdict() for key, value in self.ratios.items()},
        }


def measure(
    student: Any,
    teacher: Any,
    *,
    methods: Sequence[str] | None = None,
    batch_size: int = 64,
    image_size: Size = 32,
    rounds: int = 15,
    steps: int = 5,
    warmup: int = 5,
    threads: int = 1,
    device: str = 'cpu',
    clock: str = 'wall',
    mmrazor: bool = False,
    cache: str | None = None,
    lean: bool = False,
) -> Timing:
    """Measure all rows of ``ROWS`` in turns.

    Args:
        student (str | dict): The student's config, see :meth:`MemberSpec.parse`.
        teacher (str | dict): The teacher's config. Its weights are random: they do not change the time.
        methods (sequence of str, optional): Which of ours. Defaults to all for classifiers, KD and SHAKE for detectors.
        batch_size (int): Images a batch. Defaults to 64.
        image_size (int | tuple[int, int]): Height and width. Defaults to 32.
        rounds (int): How often all rows take their turn; the order is reversed every other time. Defaults to 15.
        steps (int): Steps a turn; the median of them is the turn's time. Defaults to 5.
        warmup (int): Steps of each row before the first round. Defaults to 5.
        threads (int): Threads of torch. Defaults to 1.
        device (str): Device of torch. Defaults to ``'cpu'``.
        clock (str): ``'wall'``, or ``'cpu'`` for the processor time of all threads, which other programs on the machine
            disturb less. Defaults to ``'wall'``.
        mmrazor (bool): See :func:`build_steps`.
        cache (str, optional): See :func:`build_steps`.
        lean (bool): See :func:`build_steps`.
    """
    with threads_of(threads):
        contenders = build_steps(student, teacher, methods, batch_size, image_size, device, mmrazor, cache, lean)
        turns = take_turns(contenders, rounds, steps, warmup, timer(device, clock))
        memory = {name: peak_bytes(step, device) for name, step in contenders.items()}
    setting = dict(
        batch_size=batch_size, image_size=image_size, rounds=rounds, steps=steps, clock=clock, threads=threads
    )
    return Timing(
        {name: Spread.of(values) for name, values in turns.items()},
        memory,
        {n: Spread.of(paired(turns, a, b)) for n, (a, b) in RATIOS.items() if {a, *b} <= turns.keys()},
        {**setting, **hardware(device)},
    )


def measure_cells(
    cells: Mapping[str, Mapping],
    *,
    batch_size: int = 64,
    image_size: Size = 32,
    rounds: int = 15,
    steps: int = 5,
    warmup: int = 5,
    threads: int = 1,
    device: str = 'cpu',
    clock: str = 'wall',
) -> Timing:
    """Measure the steps of distillation configs in turns.

    A method of several stages counts as its training does: the mean over its stages, weighed by their epochs.

    Args:
        cells (dict[str, dict]): Configs with ``model`` and ``train_cfg``, by method; ratios are over the first.
        batch_size (int): See :func:`measure`, as the other arguments.
        image_size (int | tuple[int, int]): See :func:`measure`.
        rounds (int): See :func:`measure`.
        steps (int): See :func:`measure`.
        warmup (int): See :func:`measure`.
        threads (int): See :func:`measure`.
        device (str): See :func:`measure`.
        clock (str): See :func:`measure`.
    """
    with threads_of(threads):
        stages = {name: cell_steps(cell, batch_size, image_size, device) for name, cell in cells.items()}
        contenders = {(name, i): stage.step for name, own in stages.items() for i, stage in enumerate(own)}
        turns = take_turns(contenders, rounds, steps, warmup, timer(device, clock))
        memory = {
            name: max(peak_bytes(contenders[name, i], device) for i in range(len(own))) for name, own in stages.items()
        }
    means = {
        name: [sum(stage.share * turns[name, i][turn] for i, stage in enumerate(own)) for turn in range(rounds)]
        for name, own in stages.items()
    }
    reference = next(iter(cells))
    setting = dict(
        batch_size=batch_size, image_size=image_size, rounds=rounds, steps=steps, clock=clock, threads=threads
    )
    return Timing(
        {name: Spread.of(values) for name, values in means.items()},
        memory,
        {f'{name}/{reference}': Spread.of(paired(means, name, (reference,))) for name in means},
        {**setting, **hardware(device)},
    )


def take_turns(contenders: Mapping[Any, Step], rounds: int, steps: int, warmup: int, timer: Timer) -> dict:
    """Seconds of a step in every round, by name."""
    for step in contenders.values():
        for _ in range(warmup):
            timer(step)
    turns: dict[Any, list[float]] = {name: [] for name in contenders}
    for i in range(rounds):
        for name in list(contenders) if i % 2 == 0 else reversed(contenders):
            turns[name].append(statistics.median(timer(contenders[name]) for _ in range(steps)))
    return turns


@contextmanager
def threads_of(number: int) -> Iterator[None]:
    """Let torch use that many threads in the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def timer(device: str, clock: str) -> Timer:
    """What times a step: by the ``'wall'`` clock, or in the processor time of all threads (``'cpu'``).

    On a GPU the wall clock is events of its stream, between which it works on the step or waits for the host.
    """
    now = {'wall': time.perf_counter, 'cpu': time.process_time}[clock]

    def timed(step: Step) -> float:
        getattr(step, 'prepare', lambda: None)()
        start = now()
        step()
        return now() - start

    def timed_by_events(step: Step) -> float:
        getattr(step, 'prepare', lambda: None)()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        step()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000

    return timed_by_events if device.startswith('cuda') and clock == 'wall' else timed


def paired(turns: dict[str, list[float]], upper: str, lower: tuple[str, ...]) -> list[float]:
    """The ratios within each round of one row to the sum of others."""
    return [value / sum(turns[name][i] for name in lower) for i, value in enumerate(turns[upper])]
