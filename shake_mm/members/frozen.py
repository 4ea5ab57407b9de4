"""A frozen teacher."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class FrozenMember(nn.Module):
    """A network that never learns: no gradients, evaluation mode in all its layers (dropout too), whatever is asked.

    The distiller holds it outside its own submodules, so that it is in no checkpoint and in no optimizer.

    Args:
        network (nn.Module): The trained network.
        view (nn.Module): Maps the student's batch to this network's, see :class:`TeacherView`.
        run (callable): How the task runs a network without labels, ``run(network, inputs)``.
    """

    def __init__(self, network: nn.Module, view: nn.Module, run: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.view = view
        self._run = run
        self.eval()

    def train(self, mode: bool = True) -> 'FrozenMember':
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Any:
        """Run the network on the student's batch; its taps record what it computes."""
        return self._run(self.network, self.view(inputs))
