"""Correctness of training steps on a device, each against the same step elsewhere or otherwise."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from mmengine.device import get_device
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.plain_loops import noise_batch
from benchmarks.training import METHODS, initialized, quiet
from shake_mm.compat.process_group import leave_process_group
from shake_mm.members import MemberSpec

Losses = dict[str, float]


class Bench(NamedTuple):
    """What the parts of a benchmark work on.

    Args:
        pair (dict): Config with ``model`` and ``teachers``.
        device (str): Device of torch.
        batch_size (int): Images a batch.
        image_size (int): Height and width.
    """

    pair: Mapping[str, Any]
    device: str
    batch_size: int
    image_size: int

    def model(self, method: str = 'shake', device: str | None = None, **teacher: Any) -> nn.Module:
        """A distiller of the pair with random weights, the same at each call.

        Args:
            method (str): Key of ``METHODS``. Defaults to ``'shake'``.
            device (str, optional): Another device.
            **teacher: Further keys of the teacher's entry, such as ``inference``.
        """
        torch.manual_seed(0)
        spec = MemberSpec.parse('student', dict(config=dict(self.pair)))
        with quiet():
            network = initialized(MemberSpec.parse('teacher', self.pair['teachers'][0]['config']).build())
            settle(network, self.data())
            entry = dict(config=network, **teacher) if teacher else network
            model = METHODS[method](student=copy.deepcopy(spec.config), teachers=[entry])
            initialized(model)
        return model.to(device or self.device).train()

    def data(self) -> dict[str, Any]:
        """A batch of raw images of noise, on the host, the same at each call."""
        torch.manual_seed(1)
        student = MemberSpec.parse('student', dict(config=dict(self.pair))).build()
        return noise_batch(student, self.batch_size, (self.image_size, self.image_size))


def settle(network: nn.Module, data: dict[str, Any]) -> None:
    """Give a network's normalizations the statistics of a batch, as training would.

    With those of its start, a deep network of random weights has logits of 1e8 in evaluation mode, of which there is
    nothing to compare.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [module.momentum for module in norms]
    for module in norms:
        module.momentum = 1.0
    with torch.no_grad():
        network.train()(network.data_preprocessor(copy.deepcopy(data), True)['inputs'], mode='tensor')
    for module, momentum in zip(norms, momenta):
        module.momentum = momentum


@contextmanager
def whole_float32() -> Iterator[None]:
    """No TF32 in convolutions, which rounds what they read to 10 bits and is torch's default on a GPU."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


class Outcome(NamedTuple):
    """What a check found.

    Args:
        difference (float): The largest relative difference of a loss, or of the gradient's norm.
        bound (float): What it may be.
        note (str): What was compared.
    """

    difference: float
    bound: float
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the verdict."""
        return {'passed': self.difference <= self.bound, **self._asdict()}


def step_on_device(bench: Bench) -> Outcome:
    """Every method's losses and gradients, against the processor in double precision."""
    worst = 0.0
    for method in METHODS:
        wanted = _losses(bench.model(method, 'cpu').double(), bench.data(), torch.float64)
        with whole_float32():
            worst = max(worst, _difference(_losses(bench.model(method), bench.data()), wanted))
    return Outcome(worst, 1e-3, f'{", ".join(METHODS)}: float32 on {bench.device}, float64 on the processor')


def mixed_precision(bench: Bench, dtype: torch.dtype) -> Outcome:
    """SHAKE under autocast, against float32."""
    wanted = _losses(bench.model(), bench.data())
    with torch.autocast(bench.device.partition(':')[0], dtype=dtype):
        found = _losses(bench.model(), bench.data())
    return Outcome(_difference(found, wanted), 0.1, f'SHAKE under autocast of {dtype}, and in float32')


def channels_last(bench: Bench) -> Outcome:
    """SHAKE with student and teacher in NHWC, against NCHW."""
    wanted, model = _losses(bench.model(), bench.data()), bench.model(inference=dict(channels_last=True))
    model.student.to(memory_format=torch.channels_last)
    return Outcome(_difference(_losses(model, bench.data()), wanted), 1e-2, 'SHAKE, channels-last and NCHW')


def compiled(bench: Bench) -> Outcome:
    """SHAKE compiled, on a GPU with CUDA graphs, which are replayed from the third step, against eager."""
    options = dict(mode='reduce-overhead') if bench.device.startswith('cuda') else dict(backend='aot_eager')
    wanted, model = _losses(bench.model(), bench.data()), bench.model(inference=dict(compile=options))
    for part in model.task.heavy_layers(model.student):
        part.compile(**options)
    state = copy.deepcopy(model.state_dict())
    worst = 0.0
    for _ in range(4):
        model.load_state_dict(state)
        worst = max(worst, _difference(_losses(model, bench.data()), wanted))
    return Outcome(worst, 2e-2, f'SHAKE by torch.compile({options}), and eager; 4 steps')


def one_rank(bench: Bench) -> Outcome:
    """SHAKE as a distributed run wraps it, in one process by the device's own collectives, against the bare model."""
    cuda = bench.device.startswith('cuda')
    backend = 'nccl' if cuda else 'gloo'
    wanted = _losses(bench.model(), bench.data())
    with _process_group(backend):
        model, devices = bench.model(), [torch.cuda.current_device()] if cuda else None
        # No name holds the wrapper: it has to be gone before the group.
        found = _losses(model, bench.data(), call=DistributedDataParallel(model, device_ids=devices))
    return Outcome(
        _difference(found, wanted), 1e-3, f'SHAKE in one process by {"nccl" if cuda else "gloo"}, and without'
    )


CHECKS: dict[str, Callable[[Bench], Outcome]] = {
    'step': step_on_device,
    'bfloat16': lambda bench: mixed_precision(bench, torch.bfloat16),
    'float16': lambda bench: mixed_precision(bench, torch.float16),
    'channels-last': channels_last,
    'one rank': one_rank,
    'compiled': compiled,
}
"""By name, the most valuable first."""


def _losses(
    model: nn.Module, data: dict, dtype: torch.dtype = torch.float32, call: Callable[..., Any] | None = None
) -> Losses:
    """All losses of a step, and the norm of the gradient of their sum."""
    batch = model.data_preprocessor(copy.deepcopy(data), True)
    inputs = batch['inputs'].to(dtype) if dtype == torch.float64 else batch['inputs']
    total, values = model.parse_losses((call or model)(inputs, batch['data_samples'], mode='loss'))
    model.zero_grad()
    with nullcontext() if dtype == torch.float64 else torch.autocast(inputs.device.type, enabled=False):
        total.backward()
    gradients = [p.grad.double() for p in model.parameters() if p.grad is not None]
    norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
    return {**{name: float(value.detach()) for name, value in values.items()}, 'norm of the gradient': float(norm)}


def _difference(found: Losses, wanted: Losses) -> float:
    """The largest relative difference; infinite where something is no number, or is missing."""
    if found.keys() != wanted.keys():
        return float('inf')
    pairs = [(torch.tensor(found[name]), torch.tensor(wanted[name])) for name in wanted]
    errors = [float((one - other).abs() / other.abs().clamp(min=1e-3)) for one, other in pairs]
    return max(float('inf') if error != error else error for error in errors)


@contextmanager
def _process_group(backend: str) -> Iterator[None]:
    """A process group of this process alone, by a store in memory."""
    store = distributed.HashStore()
    distributed.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        yield
    finally:
        leave_process_group()


def best_device() -> str:
    """The GPU where there is one, else the processor."""
    return 'cuda' if get_device() == 'cuda' else 'cpu'
