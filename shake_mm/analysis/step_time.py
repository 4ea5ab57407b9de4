"""Time of a training step, paired: all contestants take turns in one process, so that a busy machine hits all alike.

Every step starts from the same batch of raw 8-bit images and ends with updated weights: normalisation, forward passes,
losses, backward pass, SGD with momentum and weight decay, zeroed gradients. Ours is the whole
``model.train_step(data, optim_wrapper)`` that mmengine's loop calls, with the data preprocessor and all log values; the
plain loops are what one would write by hand. Loading of data and hooks of the Runner are in none of them.
"""

import copy
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.nn import functional as F

from ..distillers import DML, KD, SHAKE, Baseline
from ..members import MemberSpec

METHODS = {'baseline': Baseline, 'kd': KD, 'shake': SHAKE, 'dml': DML}

ROWS = {
    'plain_student': 'student step, plain PyTorch',
    'teacher': 'teacher forward, no gradients',
    'plain_kd': 'KD step, plain PyTorch',
    'baseline': 'Baseline step, shake_mm',
    'kd': 'KD step, shake_mm',
    'shake': 'SHAKE step, shake_mm',
    'dml': 'DML step, shake_mm',
}
RATIOS = {
    'shake/kd': ('shake', ('kd',)),
    'shake/plain_kd': ('shake', ('plain_kd',)),
    'shake/(plain_student+teacher)': ('shake', ('plain_student', 'teacher')),
    'kd/plain_kd': ('kd', ('plain_kd',)),
    'baseline/kd': ('baseline', ('kd',)),
    'baseline/plain_student': ('baseline', ('plain_student',)),
    'dml/kd': ('dml', ('kd',)),
    'dml/shake': ('dml', ('shake',)),
}


class Spread(NamedTuple):
    """Median, smallest and largest value over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> 'Spread':
        """Summarise ``values``."""
        return cls(statistics.median(values), min(values), max(values))


class Timing(NamedTuple):
    """What a benchmark measured.

    Args:
        seconds (dict[str, Spread]): Seconds a step by row, see ``ROWS``.
        ratios (dict[str, Spread]): Ratios of two rows within the same round, see ``RATIOS``.
        setting (dict): Hardware, versions and options.
    """

    seconds: dict[str, Spread]
    ratios: dict[str, Spread]
    setting: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return {
            'setting': self.setting,
            'seconds': {key: value._asdict() for key, value in self.seconds.items()},
            'ratios': {key: value._asdict() for key, value in self.ratios.items()},
        }


def measure(
    student: Any,
    teacher: Any,
    *,
    methods: Sequence[str] = tuple(METHODS),
    batch_size: int = 64,
    image_size: int = 32,
    rounds: int = 15,
    steps: int = 5,
    warmup: int = 5,
    threads: int = 1,
    device: str = 'cpu',
    clock: str = 'wall',
) -> Timing:
    """Measure all rows of ``ROWS`` in turns.

    Args:
        student (str | dict): The student's config, see :meth:`MemberSpec.parse`.
        teacher (str | dict): The teacher's config. Its weights are random: they do not change the time.
        methods (sequence of str): Which of ours. Defaults to all of ``METHODS``.
        batch_size (int): Images a batch. Defaults to 64.
        image_size (int): Height and width. Defaults to 32.
        rounds (int): How often all rows take their turn; the order is reversed every other time. Defaults to 15.
        steps (int): Steps a turn; the median of them is the turn's time. Defaults to 5.
        warmup (int): Steps of each row before the first round. Defaults to 5.
        threads (int): Threads of torch. Defaults to 1.
        device (str): Device of torch. Defaults to ``'cpu'``.
        clock (str): ``'wall'``, or ``'cpu'`` for the processor time of all threads, which other programs on the machine
            disturb less. Defaults to ``'wall'``.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        contestants = build_steps(student, teacher, methods, batch_size, image_size, device)
        timer = _timer(device, clock)
        for step in contestants.values():
            for _ in range(warmup):
                timer(step)
        turns: dict[str, list[float]] = {name: [] for name in contestants}
        for i in range(rounds):
            for name in list(contestants) if i % 2 == 0 else reversed(contestants):
                turns[name].append(statistics.median(timer(contestants[name]) for _ in range(steps)))
    finally:
        torch.set_num_threads(before)
    setting = dict(
        batch_size=batch_size, image_size=image_size, rounds=rounds, steps=steps, clock=clock, threads=threads
    )
    return Timing(
        {name: Spread.of(values) for name, values in turns.items()},
        {n: Spread.of(_paired(turns, a, b)) for n, (a, b) in RATIOS.items() if {a, *b} <= turns.keys()},
        {**setting, **hardware(device)},
    )


def build_steps(
    student: Any, teacher: Any, methods: Sequence[str], batch_size: int, image_size: int, device: str
) -> dict[str, Callable[[], Any]]:
    """Build the contestants; each has networks, optimizer and batch of its own.

    Returns:
        dict[str, Callable]: One training step (for ``teacher``: one forward pass) by row.
    """
    torch.manual_seed(0)
    spec = MemberSpec.parse('student', student)
    networks = [MemberSpec.parse(name, config).build() for name, config in (('student', student), ('teacher', teacher))]
    images = torch.randint(256, (batch_size, 3, image_size, image_size), dtype=torch.uint8)
    labels = torch.randint(networks[0].head.num_classes, (batch_size,))

    plain = PlainLoop(*networks, images.to(device), labels.to(device), device)
    steps = {'plain_student': plain.student_step, 'teacher': plain.teacher_forward}
    steps['plain_kd'] = PlainLoop(*networks, images.to(device), labels.to(device), device).kd_step
    samples = [DataSample().set_gt_label(label) for label in labels]
    for name in methods:
        model = METHODS[name](student=copy.deepcopy(spec.config), teachers=[copy.deepcopy(networks[1])])
        steps[name] = _our_step(model.to(device).train(), {'inputs': images, 'data_samples': samples})
    return steps


class PlainLoop:
    """The loops that one would write without shake_mm.

    Args:
        student (nn.Module): An mmpretrain classifier; copied.
        teacher (nn.Module): Another; copied.
        images (Tensor): Shape (N, 3, H, W), uint8.
        labels (Tensor): Shape (N,).
        device (str): Device of torch.
        tau (float): Temperature. Defaults to 4.
    """

    def __init__(
        self, student: nn.Module, teacher: nn.Module, images: Tensor, labels: Tensor, device: str, tau: float = 4.0
    ) -> None:
        self.student = copy.deepcopy(student).to(device).train()
        self.teacher = copy.deepcopy(teacher).to(device).eval().requires_grad_(False)
        self.images, self.labels, self.tau = images, labels, tau
        self.mean, self.std = self.student.data_preprocessor.mean, self.student.data_preprocessor.std
        self.optimizer = make_optimizer(self.student)

    def student_step(self) -> None:
        """Train the student on its labels."""
        self._update(F.cross_entropy(self.student(self._normalised(), mode='tensor'), self.labels))

    @torch.no_grad()
    def teacher_forward(self) -> Tensor:
        """Run the teacher."""
        return self.teacher(self._normalised(), mode='tensor')

    def kd_step(self) -> None:
        """Train the student on labels and teacher."""
        inputs = self._normalised()
        with torch.no_grad():
            target = self.teacher(inputs, mode='tensor')
        logits = self.student(inputs, mode='tensor')
        log_q, p = F.log_softmax(logits / self.tau, dim=1), F.softmax(target / self.tau, dim=1)
        divergence = F.kl_div(log_q, p, reduction='batchmean') * self.tau**2
        self._update(F.cross_entropy(logits, self.labels) + divergence)

    def _normalised(self) -> Tensor:
        return (self.images.float() - self.mean) / self.std

    def _update(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def make_optimizer(model: nn.Module) -> torch.optim.SGD:
    """SGD as the CRD benchmark's, with a low rate: the batch is noise, and the rate does not change the time."""
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)


def hardware(device: str) -> dict[str, Any]:
    """Say where a figure was measured."""
    name = torch.cuda.get_device_name(device) if device.startswith('cuda') else _cpu_name()
    load = round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None
    return {
        'hardware': name,
        'cores': os.cpu_count(),
        'load_average': load,
        'device': device,
        'torch': torch.__version__,
    }


def _our_step(model: nn.Module, data: dict[str, Any]) -> Callable[[], Any]:
    wrapper = OptimWrapper(make_optimizer(model))
    return lambda: model.train_step(data, wrapper)


def _timer(device: str, clock: str) -> Callable[[Callable[[], Any]], float]:
    now = {'wall': time.perf_counter, 'cpu': time.process_time}[clock]
    wait = torch.cuda.synchronize if device.startswith('cuda') else lambda: None

    def timed(step: Callable[[], Any]) -> float:
        wait()
        start = now()
        step()
        wait()
        return now() - start

    return timed


def _paired(turns: dict[str, list[float]], upper: str, lower: tuple[str, ...]) -> list[float]:
    return [value / sum(turns[name][i] for name in lower) for i, value in enumerate(turns[upper])]


def _cpu_name() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            return next(line.partition(':')[2].strip() for line in file if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
