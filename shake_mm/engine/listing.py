"""The taps that networks have, with their shapes, and the pairs of student and teacher that fit each other."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from ..errors import UsageError
from ..members import Members
from ..taps import Absent, Taps, levels_of
from .dry_run import run_members, shape_of


class Listed(NamedTuple):
    """A tap and what it holds.

    Args:
        tap (str): Its name, ``'student.f1'``.
        shape (Any): Without the batch, ``(C, H, W)``; a list for several tensors; None if it is not known.
        stride (float | None): Height of the image by that of a map; None of what is no map.
        times (int): How often the layer runs in a pass.
    """

    tap: str
    shape: Any
    stride: float | None
    times: int = 1

    @property
    def is_map(self) -> bool:
        """Whether it is one tensor of channels, height and width, made once."""
        return isinstance(self.shape, tuple) and len(self.shape) == 3 and self.times == 1


class Pair(NamedTuple):
    """A tap of the student and one of a teacher that a term can compare, and the line for it in ``terms``."""

    student: Listed
    teacher: Listed
    line: str


def list_taps(members: Members, input_size: Any = None) -> dict[str, tuple[list[Listed], list[Listed]]]:
    """Run every member once on tensors without data, and see what its layers make.

    Args:
        members (Members): The networks.
        input_size (int | tuple[int, int], optional): Of the images, see :meth:`Members.image_sizes`.

    Returns:
        dict: By member, its short names and its layers, in the order in which they run.
    """
    aliases, sizes = members.aliases(), members.image_sizes(input_size)
    taps = members.taps(aliases)
    short = {
        name: [f'{name}.{alias}' for alias, of in own.items() if not isinstance(of, Absent)]
        for name, own in aliases.items()
    }
    for name in (tap for own in short.values() for tap in own):
        taps.request(name)
    seen: dict[str, dict[str, list[Any]]] = {name: {} for name in members.networks}
    handles = [
        layer.register_forward_hook(partial(_note, seen[name], f'{name}.{path}'))
        for name, network in members.networks.items()
        for path, layer in network.named_modules()
        if path and not path.startswith('data_preprocessor')
    ]
    try:
        with taps.recording():
            run_members(members.networks, members.dry_pass(taps), sizes, members.task.channels)
            values = {name: [(tap, _shape(taps, tap)) for tap in own] for name, own in short.items()}
    finally:
        for handle in handles:
            handle.remove()
    return {
        name: (
            [Listed(tap, shape, _stride(shape, sizes[name])) for tap, shape in values[name]],
            [Listed(tap, made[-1], _stride(made[-1], sizes[name]), len(made)) for tap, made in seen[name].items()],
        )
        for name in members.networks
    }


def pairs_of(listed: Mapping[str, tuple[list[Listed], list[Listed]]]) -> Iterator[Pair]:
    """Yield what terms can compare: logits of one shape, and for each stride the last maps that have it.

    Args:
        listed (dict): See :func:`list_taps`.
    """
    mine = listed['student']
    for name, theirs in listed.items():
        if name == 'student':
            continue
        end = '' if len(listed) == 2 else f'_{name}'
        by_name = {tap.tap.partition('.')[2]: tap for tap in theirs[0]}
        for tap in mine[0]:
            other = by_name.get('logits')
            if tap.tap == 'student.logits' and other is not None and tap.shape == other.shape is not None:
                yield Pair(tap, other, f"kd{end}=dict(of='{tap.tap}', to='{other.tap}', loss=dict(tau=4.0)),")
        levels = {tap.shape[1:]: tap for tap in _levels(*theirs)}
        for tap in _levels(*mine):
            if (other := levels.get(tap.shape[1:])) is not None:
                key = tap.tap.partition('.')[2].replace('.', '_')
                yield Pair(
                    tap,
                    other,
                    f"hint_{key}{end}=dict(of='{tap.tap}', to='{other.tap}', connector=dict(type='ConvRegressor'), "
                    "loss=dict(type='FitNetsLoss')),",
                )


def _levels(short: Sequence[Listed], layers: Sequence[Listed]) -> list[Listed]:
    """The levels that a network states, else the last layer of each height and width that has one of its own."""
    named = levels_of({tap.tap.partition('.')[2]: tap.tap for tap in short})
    stated = [tap for tap in short if tap.tap.partition('.')[2] in named and tap.is_map]
    outer = min((tap.tap.count('.') for tap in layers if tap.is_map and tap.tap.count('.') > 1), default=1)
    found = {tap.shape[1:]: tap for tap in layers if tap.is_map and tap.tap.count('.') <= outer}
    return stated or [tap for size, tap in found.items() if size != (1, 1)]


def _note(seen: dict[str, list[Any]], tap: str, layer: nn.Module, args: Any, output: Any) -> None:
    seen.setdefault(tap, []).append(shape_of(output))


def _shape(taps: Taps, tap: str) -> Any:
    try:
        return shape_of(taps.tensor(tap))
    except (UsageError, AttributeError, IndexError, TypeError):  # of a layer that such a pass does not reach
        return None


def _stride(shape: Any, size: Sequence[int]) -> float | None:
    return size[0] / shape[1] if isinstance(shape, tuple) and len(shape) == 3 and shape[1] else None
