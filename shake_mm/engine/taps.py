"""Taps: named tensors of the members, recorded while a step runs and released after it.

A tap is written ``member.path``, where ``path`` is an alias of the network (``logits``, ``feats``, ``pool``; ``f1`` to
``fm`` for the outputs of its stages, ``f1.preact`` before their activation) or the dotted name of a layer, optionally
followed by ``:input`` (what the layer receives instead of what it returns; ``:inputs`` for all its arguments) and by
``[i]`` (one element of a tuple or list, again and again)::

    student.logits    student.f2    teacher0.backbone.layer3    student.head:input    student.backbone[1]

An alias may stand for several taps, as the logits of a detector do: one for each level of its pyramid.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import UsageError

_PATTERN = re.compile(r'^(?P<member>\w+)\.(?P<path>[\w.]+)(?P<side>:inputs?)?(?P<indices>(\[-?\d+\])*)$')

Alias = str | tuple[str, ...]


class NoElementError(UsageError):
    """A tap asks for an element that its layer does not make."""


class TapName(NamedTuple):
    """A parsed tap: which ``member``, which layer, its output (``''``) or ``side`` ``:input(s)``, which elements."""

    member: str
    path: str
    side: str
    indices: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> 'TapName':
        """Read a tap as it is written in a config."""
        match = _PATTERN.match(text)
        if match is None:
            raise UsageError(
                f"tap '{text}' is not of the form 'member.layer', 'member.layer:input' or 'member.layer[i]'."
            )
        indices = tuple(int(index) for index in re.findall(r'-?\d+', match['indices']))
        return cls(match['member'], match['path'], match['side'] or '', indices)

    def __str__(self) -> str:
        return f'{self.member}.{self.path}{self.side}' + ''.join(f'[{index}]' for index in self.indices)


class _Recorder:
    """Forward hook of one layer; keeps copies, because a later in-place layer may overwrite what it saw."""

    def __init__(self, text: str, side: str, indices: Sequence[int], dtype: torch.dtype | None) -> None:
        self.text, self.side, self.indices, self.dtype = text, side, indices, dtype
        self.active = False
        self.values: list[Any] = []

    def __call__(self, module: nn.Module, args: tuple, output: Any) -> None:
        if self.active:
            seen = output if not self.side else args if self.side == ':inputs' else args[0]
            self.values.append(_copy(_element(seen, self.indices, self.text), self.dtype))

    def value(self) -> Any:
        if len(self.values) != 1:
            raise UsageError(
                f"tap '{self.text}' was produced {len(self.values)} times in this step, expected once: "
                'name a layer that runs once in every forward pass.'
            )
        return self.values[0]


class Taps:
    """All taps of one distiller.

    Layers are resolved and hooked once, by :meth:`request`; values exist only inside :meth:`recording`. The hooks
    belong to the instances they were put on, and a deep copy of the model carries working hooks of its own.

    Args:
        members (dict): Networks by name. Not kept beyond construction as anything but references.
        aliases (dict): Tap aliases by member, e.g. ``{'student': {'logits': 'head', 'f1': 'backbone.layer1'}}``; a
            tuple stands for several taps.
        halved (Sequence[str]): Members that compute in half precision; what they make is recorded as float32.
    """

    def __init__(
        self,
        members: Mapping[str, nn.Module],
        aliases: Mapping[str, Mapping[str, Alias]],
        halved: Sequence[str] = (),
    ) -> None:
        self._members, self._halved = dict(members), set(halved)
        self._aliases = {member: _with_last_level(own) for member, own in aliases.items()}
        self._recorders: dict[TapName, _Recorder] = {}
        self._active = False
        self._computed: dict[str, Any] = {}
        self._virtual: set[str] = set()
        self.unknown: set[str] = set()  # members that a dry run could not run to the end: taps it missed are None

    def add_member(self, name: str, module: nn.Module) -> None:
        """Let the layers of one more network be named."""
        self._members[name] = module

    def declare(self, name: str) -> None:
        """Announce a tap that the engine fills itself by :meth:`put` (a proxy's logits)."""
        self._virtual.add(name)

    def request(self, text: str) -> None:
        """Make sure that the tap ``text`` will be recorded.

        Raises:
            UsageError: If the member or the layer does not exist; the nearest names are suggested.
        """
        if not self._is_virtual(TapName.parse(text)):
            for name in self._resolve(text):
                self._recorder(name, text)

    def put(self, name: str, value: Any) -> None:
        """Set a declared tap for the current step, or one of a layer that does not run in it."""
        self._computed[name] = value

    def raw(self, text: str) -> Any:
        """What the layer produced in this step: a tensor, or the tuple of levels that OpenMMLab's parts exchange.

        A list of those for an alias that stands for several taps.
        """
        name = TapName.parse(text)
        if (tap := f'{name.member}.{name.path}') in self._computed or self._is_virtual(name):
            if tap not in self._computed:
                raise UsageError(
                    f"tap '{text}' is read before it is made: proxies come first, then the connectors in their order."
                )
            return _element(self._computed[tap], name.indices, text)
        values = [self._recorded(name, text) for name in self._resolve(text)]
        return values if self._is_several(name) else values[0]

    def tensor(self, text: str) -> Tensor | list[Tensor]:
        """As :meth:`raw`, a tuple of levels reduced to its last one; a list stays a list."""
        return _last(self.raw(text))

    def read(self, source: str | Sequence[str]) -> Any:
        """What a proxy reads: :meth:`raw` of one tap, or a list of the :meth:`tensor` of several."""
        return self.raw(source) if isinstance(source, str) else self.value(source)

    def value(self, tap: str | Sequence[str]) -> Tensor | list[Tensor]:
        """:meth:`tensor` of one tap, or a list of those of several."""
        return self.tensor(tap) if isinstance(tap, str) else [self.tensor(item) for item in tap]

    def layers(self, text: str) -> list[str]:
        """The layers behind a tap, as ``member.layer[i]``; a tap that the engine fills is its own."""
        if self._is_virtual(TapName.parse(text)):
            return [text]
        return [str(name) for name in self._resolve(text)]

    @contextmanager
    def recording(self) -> Iterator['Taps']:
        """Record while the block runs, release every tensor at its end."""
        self._active = True
        for recorder in self._recorders.values():
            recorder.active = True
        try:
            yield self
        finally:
            self._active = False
            for recorder in self._recorders.values():
                recorder.active = False
                recorder.values = []
            self._computed = {}

    def _is_virtual(self, name: TapName) -> bool:
        return f'{name.member}.{name.path}' in self._virtual

    def _is_several(self, name: TapName) -> bool:
        return not name.indices and isinstance(self._aliases.get(name.member, {}).get(name.path), tuple)

    def _resolve(self, text: str) -> list[TapName]:
        name = TapName.parse(text)
        alias = self._aliases.get(name.member, {}).get(name.path)
        if alias is None:
            return [name]
        indices = name.indices
        if isinstance(alias, tuple) and indices:
            alias, indices = alias[indices[0]], indices[1:]
        targets = [TapName.parse(f'{name.member}.{path}') for path in ([alias] if isinstance(alias, str) else alias)]
        return [t._replace(side=t.side or name.side, indices=t.indices + indices) for t in targets]

    def _recorder(self, name: TapName, text: str) -> _Recorder:
        if name not in self._recorders:
            dtype = torch.float32 if name.member in self._halved else None
            recorder = _Recorder(text, name.side, name.indices, dtype)
            recorder.active = self._active
            self._layer(name, text).register_forward_hook(recorder)
            self._recorders[name] = recorder
        return self._recorders[name]

    def _recorded(self, name: TapName, text: str) -> Any:
        recorder = self._recorder(name, text)
        return None if name.member in self.unknown and not recorder.values else recorder.value()

    def _layer(self, name: TapName, text: str) -> nn.Module:
        if name.member not in self._members:
            known = sorted({*self._members, *(tap.partition('.')[0] for tap in self._virtual)})
            raise UsageError(f"tap '{text}' names no member of this distiller: its members are {', '.join(known)}.")
        aliases = self._aliases.get(name.member, {})
        layers = dict(self._members[name.member].named_modules())
        if name.path not in layers:
            near = difflib.get_close_matches(name.path, [*aliases, *filter(None, layers)], n=4, cutoff=0.4)
            hint = f'did you mean {" or ".join(near)}?' if near else f'it has {", ".join(list(layers)[1:6])} and more.'
            raise UsageError(f"tap '{text}' names no layer of {name.member}: {hint}")
        return layers[name.path]


def listed(taps: str | Sequence[str]) -> list[str]:
    """One tap or several, as a list."""
    return [taps] if isinstance(taps, str) else list(taps)


def levels_of(aliases: Mapping[str, Alias]) -> list[str]:
    """Names ``f1`` to ``fm`` of the stages of a member that states them."""
    return sorted((name for name in aliases if re.fullmatch(r'f[1-9]\d*', name)), key=lambda name: int(name[1:]))


def _with_last_level(aliases: Mapping[str, Alias]) -> dict[str, Alias]:
    """``fm`` names the last stage, whatever its number."""
    for last in levels_of(aliases)[-1:]:
        ends = {f'fm{end}': aliases[f'{last}{end}'] for end in ('', '.preact') if f'{last}{end}' in aliases}
        return {**aliases, **ends}
    return dict(aliases)


def _copy(value: Any, dtype: torch.dtype | None) -> Any:
    if isinstance(value, Tensor):
        return value.clone() if dtype is None or not value.is_floating_point() else value.to(dtype, copy=True)
    if isinstance(value, (tuple, list)):
        return type(value)(_copy(item, dtype) for item in value)
    return value


def _element(value: Any, indices: Sequence[int], text: str) -> Any:
    for index in indices:
        if isinstance(value, Tensor) or (value is not None and not -len(value) <= index < len(value)):
            held = 'one tensor' if isinstance(value, Tensor) else f'{len(value)} elements'
            raise NoElementError(
                f"tap '{text}' asks for element {index}, but the layer makes {held}: correct the index."
            )
        value = None if value is None else value[index]
    return value


def _last(value: Any) -> Any:
    if isinstance(value, list):
        return [_last(item) for item in value]
    return _last(value[-1]) if isinstance(value, tuple) else value
