"""What every row of the benchmarks shares: our methods, random weights, an optimizer, and a training step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from shake_mm.distillers import DML, KD, SHAKE, Baseline

Step = Callable[[], Any]
Size = int | tuple[int, int]
METHODS = {'baseline': Baseline, 'kd': KD, 'shake': SHAKE, 'dml': DML}


def train_step(model: nn.Module, data: dict[str, Any], **optimizer: Any) -> Step:
    """Return what mmengine's training loop calls for each batch."""
    wrapper = OptimWrapper(make_optimizer(model, **optimizer))
    device = next(model.parameters()).device
    data = {**data, 'inputs': tree_map(lambda image: on_host(image, device), data['inputs'])}
    return lambda: model.train_step(data, wrapper)


def on_host(batch: Tensor, device: torch.device | str) -> Tensor:
    """A batch as ``tools/train.py`` has it from the data loader: in pinned memory where it goes to a GPU."""
    return batch.pin_memory() if torch.device(device).type == 'cuda' else batch


def make_optimizer(model: nn.Module, **options: Any) -> torch.optim.SGD:
    """SGD as the CRD benchmark's, with a low rate: the batch is noise, and the rate does not change the time."""
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4, **options)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence mmengine's log, which lists the initialization of every parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        yield
    finally:
        logger.setLevel(level)


def initialized(network: nn.Module) -> nn.Module:
    """Give a network, or a distiller and its parts, mmengine's random weights, without loading pretrained ones."""
    for module in network.modules():
        if 'Pretrained' in str(getattr(module, 'init_cfg', None)):
            module.init_cfg = None
    network.init_weights()
    return network
