"""The classification branch of a detector's head: found by its gradients, copied without the rest."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..compat.torch_names import set_submodule
from ..errors import UsageError
from ..losses.dense_kl import object_logit
from ..utils import copy_module
from .detection_logits import classes_of, logits_of
from .detection_tail import PREDICTORS, begin_behind, read_patches


class Nothing(nn.Module):
    """Stands for a layer that only the boxes need: one channel of zeros, without parameters."""

    def forward(self, x: Tensor, *args: Any) -> Tensor:
        """Zeros of shape (N, 1, ...) for an input of shape (N, C, ...)."""
        return x.new_zeros(x.shape[0], 1, *x.shape[2:])


class ClassificationBranch(BaseModule):
    """The part of a detection head that its class scores depend on, with weights of its own, initialized anew.

    Args:
        head (nn.Module): The head whose architecture is copied; its ``forward`` returns the scores first.
        features (Tensor | tuple[Tensor]): Something that the head takes, to find the branch by.
    """

    def __init__(self, head: nn.Module, features: Any) -> None:
        super().__init__()
        wanted = reached(probe_of(head), features)
        places = removable(head, wanted, features)
        self.head = _initialized(copy_module(head))  # before layers go: some heads initialize those that it will lack
        for name, parameter in self.head.named_parameters():
            parameter.requires_grad_(name in wanted)
        for place in places:
            set_submodule(self.head, place, Nothing())
        self._features = features

    def begin_behind(self, path: str, predictor: str | None = None) -> None:
        """Leave the layers up to a tap of the tower to the network, and take what the tap holds.

        Args:
            path (str): Its name without the member's, see :func:`begin_behind`.
            predictor (str, optional): What predicts the classes, one of :data:`PREDICTORS`. Defaults to what the head
                has.
        """
        if predictor not in (None, *PREDICTORS):
            raise UsageError(
                f'ShadowTower: predictor={predictor!r}, but it must be one of {tuple(PREDICTORS)}, or left out.'
            )
        begin_behind(self.head, path, self._features)
        if predictor is not None:
            PREDICTORS[predictor](self.head)

    def read_patches(self) -> tuple[int, int]:
        """Predict by what the kernels read, laid side by side, see :func:`read_patches`, and not by whole maps."""
        return read_patches(self.head)

    def surest(self, logits: Tensor, share: float) -> Tensor:
        """Where a dense head of this kind is surest of an object.

        Args:
            logits (Tensor): Of a level, shape (N, A * K, H, W).
            share (float): Of the places.

        Returns:
            Tensor: Places, (N, k), of H * W: in each image a fixed number, at least one.
        """
        channels, kind = classes_of(self.head)
        sure = object_logit(logits.detach().unflatten(1, (-1, channels)), kind).amax(1).flatten(1)
        return sure.topk(max(1, round(share * sure.shape[1])), dim=1, sorted=False).indices

    def init_weights(self) -> None:
        """Do nothing: the branch was initialized when it was built."""

    def forward(self, features: Any) -> Any:
        """The scores: (R, K) for RoI features, a list of (N, A * C, H, W) for a pyramid."""
        return logits_of(self.head).of(call(self.head, features))


class LogitsOnly:
    """While it is entered, a head runs without the layers that its class scores do not depend on.

    Args:
        head (nn.Module): The head; its other outputs mean nothing in the meantime.
        features (tuple[Tensor]): Something that the head takes.
    """

    def __init__(self, head: nn.Module, features: tuple[Tensor, ...]) -> None:
        places = [place.rpartition('.') for place in removable(head, reached(probe_of(head), features), features)]
        parents = [(head.get_submodule(parent), name) for parent, _, name in places]
        self._places = [(parent, name, getattr(parent, name)) for parent, name in parents]

    def __enter__(self) -> None:
        for parent, name, _ in self._places:
            setattr(parent, name, Nothing())

    def __exit__(self, *error: object) -> None:
        for parent, name, layer in self._places:
            setattr(parent, name, layer)


def probe_of(head: nn.Module) -> nn.Module:
    """A copy of a head to try things on, without hooks, and in full precision whatever the head computes in."""
    return copy_module(head).eval().float().requires_grad_(True)


def call(head: nn.Module, features: Any) -> Any:
    """Call a head; one that takes features for the boxes too (Double-Head's) gets the same ones."""
    parameters = inspect.signature(head.forward).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return head(*[features] * max(1, len(required)))


@contextmanager
def as_in_training(head: nn.Module) -> Iterator[None]:
    """While it is entered, a head computes what it does in training; its layers are in the mode they were in.

    In evaluation a SOLO's gives scores instead of logits, and one that guesses its anchors skips places where it sees
    none, by convolutions that no CPU has.
    """
    mode = head.training
    head.training = True
    try:
        yield
    finally:
        head.training = mode


def reached(head: nn.Module, features: Any) -> set[str]:
    """Names of the parameters that a head's logits depend on."""
    with torch.enable_grad():
        logits = logits_of(head).of(call(head, features))
        total = sum(item.float().sum() for item in ([logits] if isinstance(logits, Tensor) else logits))
        named = dict(head.named_parameters())
        found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {name for name, gradient in zip(named, found) if gradient is not None}


def pyramid(channels: Sequence[int], device: torch.device) -> tuple[Tensor, ...]:
    """Features of an image, as small as a pyramid can be; any will do to find a branch."""
    generator = torch.Generator().manual_seed(0)
    sizes = [max(4, 2 ** (len(channels) - 1 - i)) for i in range(len(channels))]
    return tuple(torch.randn(1, c, s, s, generator=generator).to(device) for c, s in zip(channels, sizes))


def check_logits(head: nn.Module, features: tuple[Tensor, ...], where: str) -> None:
    """Refuse a dense head that makes no class logits at every place.

    Raises:
        UsageError: With the reason.
    """
    name, head = type(head).__name__, probe_of(head)
    channels, _ = classes_of(head)
    with torch.no_grad():
        outputs, large = head(features), head(tuple(1e3 * level for level in features))
        logits, of_large = (logits_of(head).of(output) for output in (outputs, large))
    if not all(isinstance(level, Tensor) and level.shape[1] % channels == 0 for level in logits):
        raise UsageError(
            f'{where}: {name} makes no maps of {channels} class logits a prior: distill features (f1, f2, …).'
        )
    if all(bool(((level >= 0) & (level <= 1)).all()) for level in of_large):
        raise UsageError(f'{where}: {name} gives probabilities instead of logits: distill features (f1, f2, …).')


def _initialized(head: nn.Module) -> nn.Module:
    """Initialize a head as if it were new: a shadow does not begin with what the head has learned."""
    for layer in head.modules():
        if hasattr(layer, 'reset_parameters'):
            layer.reset_parameters()
        if isinstance(layer, BaseModule):
            layer.is_init = False
    head.init_weights()
    return head


def removable(head: nn.Module, wanted: set[str], features: Any) -> list[str]:
    """Names of the layers without a wanted parameter; none where the head does not run without them.

    SABL's and RepPoints' heads view what the layers of the boxes make in shapes that :class:`Nothing` has not.
    """
    probe = probe_of(head)
    kept = {id(parameter) for name, parameter in probe.named_parameters() if name in wanted}
    names = list(_unwanted(probe, kept))
    for name in names:
        set_submodule(probe, name, Nothing())
    try:
        with torch.no_grad():
            logits_of(probe).of(call(probe, features))
    except Exception:  # whatever a head does with a tensor of another shape
        return []
    return names


def _unwanted(module: nn.Module, wanted: set[int], prefix: str = '') -> Iterator[str]:
    """The layers without a wanted parameter; containers stay, for heads that iterate over them."""
    for name, child in module.named_children():
        own = {id(parameter) for parameter in child.parameters()}  # levels may share them, under several names
        if own and wanted.isdisjoint(own) and not isinstance(child, (nn.ModuleList, nn.ModuleDict)):
            yield f'{prefix}{name}'
        elif own:
            yield from _unwanted(child, wanted, f'{prefix}{name}.')
