"""DropBlock in the student's last levels, without a change to its network."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from torch import Tensor, nn

from ..engine import Distiller
from ..errors import UsageError
from ..imports import require
from ..registry import HOOKS, MODELS
from ..taps import TapName, levels_of
from ..utils import unwrap_model


class _Drop:
    """Forward hook of one level, whose return value replaces the level's output."""

    def __init__(self, layer: str, block: nn.Module) -> None:
        self.layer, self.block, self.iteration = layer, block, 0

    def __call__(self, module: nn.Module, args: tuple, output: Any) -> Any:
        if not module.training:
            return output
        size = self.block.block_size
        if not isinstance(output, Tensor) or output.ndim != 4 or min(output.shape[2:]) < size:
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise UsageError(
                f"DropBlockHook: a block of {size}x{size} does not fit the output of '{self.layer}' ({shape}): set a "
                'smaller block_size, or name other layers.'
            )
        # mmdet counts its own calls; the run's iteration is right after a resume too.
        self.block.iter_cnt = self.iteration
        return self.block(output)


@HOOKS.register_module()
class DropBlockHook(Hook):
    r"""Drops blocks of the student's features while it trains (Ghiasi et al., 2018), by mmdet's ``DropBlock``.

    At each place of a map of size :math:`h \times w` a block of size :math:`b \times b` begins with the probability

    .. math::
        \gamma_t = \frac{p_t}{b^2} \frac{h w}{(h - b + 1)(w - b + 1)}, \qquad p_t = p \min(t / T, 1)

    Blocks are set to zero, and the rest is scaled up to make up for them. The probability rises linearly over the
    first :math:`T` iterations: by default over the whole training, as in DropBlock's paper. It depends on the run's
    iteration :math:`t` alone, so a resumed run goes on where it stopped; nothing is added to checkpoints.

    Everything behind a level sees its dropped output: the next level, the head, the shadow head, and the tap of the
    level itself (``student.f3``), so also terms that compare features. Taps inside the level (``student.f3.preact`` of
    a ResNet) see the features before. Teachers, peers and proxies with layers of their own drop nothing, nor does the
    student in evaluation mode.

    Args:
        drop_prob (float): :math:`p`, in (0, 1]. Defaults to 0.1.
        block_size (int): :math:`b`, an odd number. Defaults to 7.
        layers (list[str], optional): Taps of the student's layers, such as ``'student.f3'``. Defaults to its last two
            levels.
        warmup_iters (int, optional): :math:`T`. Defaults to all iterations of the training.

    Raises:
        UsageError: If a number is out of its range.
    """

    def __init__(
        self,
        drop_prob: float = 0.1,
        block_size: int = 7,
        layers: Sequence[str] | None = None,
        warmup_iters: int | None = None,
    ) -> None:
        if not 0 < drop_prob <= 1:
            raise UsageError(f'DropBlockHook: drop_prob={drop_prob} must be larger than 0 and at most 1.')
        if block_size < 1 or block_size % 2 == 0:
            raise UsageError(f'DropBlockHook: block_size={block_size} must be an odd number.')
        self.drop_prob, self.block_size, self.layers, self.warmup_iters = drop_prob, block_size, layers, warmup_iters
        self._drops: list[_Drop] = []
        self._handles: list[Any] = []

    def before_train(self, runner: Any) -> None:
        """Put the blocks behind the levels, ahead of the hooks by which taps record."""
        model = unwrap_model(runner.model)
        settings = dict(
            drop_prob=self.drop_prob,
            block_size=self.block_size,
            warmup_iters=runner.max_iters if self.warmup_iters is None else self.warmup_iters,
        )
        for name, layer in _student_layers(model, self.layers).items():
            require('mmdet', 'shake_mm.DropBlockHook')
            self._drops.append(_Drop(name, MODELS.build(dict(type='mmdet.DropBlock', **settings))))
            self._handles.append(layer.register_forward_hook(self._drops[-1], prepend=True))

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the blocks the iteration."""
        for drop in self._drops:
            drop.iteration = runner.iter

    def after_train(self, runner: Any) -> None:
        """Take the blocks out of the network again."""
        for handle in self._handles:
            handle.remove()
        self._drops, self._handles = [], []


def _student_layers(model: Distiller, taps: Sequence[str] | None) -> dict[str, nn.Module]:
    """The layers that the student's taps name, by default its last two levels."""
    if taps is None:
        levels = levels_of(model.members.aliases()['student'])
        if len(levels) < 2:
            raise UsageError(
                "DropBlockHook: the student's levels are not known: name `layers`, e.g. student.backbone.x."
            )
        taps = [f'student.{level}' for level in levels[-2:]]
    known, found = dict(model.student.named_modules()), {}
    for tap in taps:
        for text in model.taps.layers(tap):
            name = TapName.parse(text)
            if name.member != 'student' or name.path not in known or name.side or name.indices:
                raise UsageError(f"DropBlockHook: '{tap}' is not the output of a layer of the student: name a level.")
            found[text] = known[name.path]
    return found
