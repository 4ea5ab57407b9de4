"""A frozen teacher."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import UsageError
from ..taps import Taps
from ..tasks import Task
from ..utils import image_channels
from .classes import ClassMap
from .fastest import fastest
from .inference import Inference


class FrozenMember(nn.Module):
    """A network that never learns: no gradients, evaluation mode in all its layers (dropout too), whatever is asked.

    The distiller holds it outside its own submodules, so that it is in no checkpoint and in no optimizer.

    Args:
        network (nn.Module): The trained network.
        view (nn.Module): Maps the student's batch to this network's, see :class:`TeacherView`.
        task (Task): How such a network runs.
    """

    fills_taps = False
    """Whether :meth:`forward_head` must be called whatever the taps are."""

    def __init__(self, network: nn.Module, view: nn.Module, task: Task) -> None:
        super().__init__()
        self.network = network.requires_grad_(False)
        self.view = view
        self.task = task
        self.classes: ClassMap | None = None
        """Takes the logits of the student's classes, where they are matched by name."""
        self._shortened: AbstractContextManager = nullcontext()
        self._undecided: tuple[str, Inference, Sequence[int]] | None = None
        self.eval()

    def train(self, mode: bool = True) -> 'FrozenMember':
        """Stay in evaluation mode, whatever is asked."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, inputs: Tensor, data_samples: list | None = None) -> Any:
        """Run the network on the student's batch; its taps record what it computes."""
        return self.task.forward_view(self.network, self.view(inputs, data_samples), data_samples)

    def shorten(self, logits_only: bool) -> None:
        """Say whether :meth:`forward_head` need compute the logits alone."""
        self._shortened = self.task.logits_only(self.network) if logits_only else nullcontext()

    @torch.no_grad()
    def forward_head(self, passed: Any, taps: Taps) -> None:
        """Complete the pass, see :meth:`Task.forward_head`."""
        with self._shortened:
            self.task.forward_head(self.network, passed, taps)

    @torch.no_grad()
    def accelerate(self, name: str, inference: Inference, size: Sequence[int]) -> None:
        """Let the network compute as ``inference`` says.

        Args:
            name (str): The member's.
            inference (Inference): How.
            size (tuple[int, int]): Height and width of an image to try it out with.

        Raises:
            UsageError: If BatchNorm cannot be folded.
        """
        if inference.auto:
            self._undecided = name, inference, size
        if inference.auto or inference == Inference():
            return
        device = next(self.network.parameters()).device
        shape = (2, self.task.channels or image_channels(self.network), *size)
        probe = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
        inference.fold(self.network, lambda: self.task.forward_trunk(self.network, probe), name)
        inference.apply(self.task.heavy_layers(self.network))

    @torch.no_grad()
    def decide(self, inputs: Tensor, data_samples: list | None) -> None:
        """Measure how to compute before the first step, where that is asked for (``inference='auto'``).

        Args:
            inputs (Tensor): The student's batch.
            data_samples (list, optional): Its samples.
        """
        if self._undecided is None or inputs.is_meta:
            return
        (name, wanted, size), self._undecided = self._undecided, None
        self.accelerate(name, fastest(name, self.network, self.task, self.view(inputs, data_samples), wanted), size)

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list | None) -> Any:
        """The network's own predictions for the student's batch, of the student's classes where they are matched."""
        view = self.view(inputs, data_samples)
        handles = [] if self.classes is None else self._answer_by(self.classes)
        try:
            return self.network(view, data_samples, mode='predict')
        finally:
            for handle in handles:
                handle.remove()

    def _answer_by(self, classes: ClassMap) -> list[RemovableHandle]:
        heads = self.task.heads(self.network) if self.task.compares_members(self.network) else []
        if not heads:
            raise UsageError(
                f'{classes.name}: its predictions cannot be turned into those of the classes that are matched by name: '
                'test it with its own config.'
            )

        def replace(head: nn.Module, args: tuple, output: Any) -> Any:
            return self.task.replaced(head, output, classes.take(self.task.logits_of(self.network, output)))

        return [head.register_forward_hook(replace) for head in heads]
