"""Taps: named tensors of the members, recorded while a step runs and released after it.

A tap is written ``member.path``, where ``path`` is an alias of the network (``logits``, ``feats``, ``pool``; ``f1`` to
``fm`` for the outputs of its levels, ``fl`` for that before the last, ``f1.preact`` before their activation) or the
dotted name of a layer, optionally followed by ``:input`` (what the layer receives instead of what it returns;
``:inputs`` for all its arguments, ``:named`` for those given by name, as a dict; ``:each`` for a list of what it
returns each time that it runs, level by level) and by ``[i]`` (one element of a tuple or list, again and again)::

    student.logits    student.f2    teacher0.backbone.layer3    student.head:input    student.backbone[1]

An alias may stand for several taps, as the logits of a detector do: one for each level of its pyramid.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..compat.torch_names import tree_leaves
from ..errors import UsageError
from .names import Absent, Alias, Combined, TapName, element_of, with_last_level
from .recorder import Recorder


class Taps:
    """All taps of one distiller.

    Layers are resolved and hooked once, by :meth:`request`; values exist only inside :meth:`recording`. The hooks
    belong to the instances they were put on, and a deep copy of the model carries working hooks of its own.

    Args:
        members (dict): Networks by name. Not kept beyond construction as anything but references.
        aliases (dict): Tap aliases by member, e.g. ``{'student': {'logits': 'head', 'f1': 'backbone.layer1'}}``; a
            tuple stands for several taps.
        halved (Sequence[str]): Members that compute in half precision; what they make is recorded as float32.
        repeated (dict): By member, prefixes of layers that may run several times in a step, of which the last counts.
    """

    def __init__(
        self,
        members: Mapping[str, nn.Module],
        aliases: Mapping[str, Mapping[str, Alias]],
        halved: Sequence[str] = (),
        repeated: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._repeated = dict(repeated or {})
        self._members, self._halved = dict(members), set(halved)
        self._aliases = {member: with_last_level(own) for member, own in aliases.items()}
        self._recorders: dict[TapName, Recorder] = {}
        self._active = False
        self._computed: dict[str, Any] = {}
        self._combined: dict[str, tuple[list, Any]] = {}  # what was combined, and into what
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

    def is_read(self, text: str) -> bool:
        """Whether the tap ``text`` is recorded, as something reads it."""
        return all(name in self._recorders for name in self._resolve(text))

    def put(self, name: str, value: Any) -> None:
        """Set a declared tap for the current step, or one of a layer that does not run in it."""
        self._computed[name] = value

    def record(self, member: str, path: str) -> None:
        """Make sure that a layer is recorded, by its own name, as :meth:`paths` gives it."""
        name = TapName.parse(f'{member}.{path}')
        self._recorder(name, str(name))

    def paths(self, member: str) -> list[str]:
        """What is recorded of a member: names of layers, perhaps with a side and elements, without the member's."""
        return [str(name).removeprefix(f'{member}.') for name in self._recorders if name.member == member]

    def recorded(self, member: str) -> dict[str, list]:
        """What has been recorded of a member in this step, by :meth:`paths`."""
        return {path: self._recorders[TapName.parse(f'{member}.{path}')].values for path in self.paths(member)}

    def fill(self, member: str, values: Mapping[str, list]) -> None:
        """Set what was :meth:`recorded` of a member elsewhere."""
        for path, recorded in values.items():
            self._recorders[TapName.parse(f'{member}.{path}')].values = recorded

    def raw(self, text: str) -> Any:
        """What the layer produced in this step: a tensor, or the tuple of levels that OpenMMLab's parts exchange.

        A list of those for an alias that stands for several taps.
        """
        name = TapName.parse(text)
        if (tap := name.root) in self._computed or self._is_virtual(name):
            if tap not in self._computed:
                raise UsageError(
                    f"tap '{text}' is read before it is made: proxies come first, then the connectors in their order."
                )
            return element_of(self._computed[tap], name.indices, text)
        values = [self._recorded(name, text) for name in self._resolve(text)]
        if isinstance(alias := self._alias(name), Combined):
            unknown = any(value is None for value in values)
            return None if unknown else element_of(self._combine(tap, alias, values), name.indices, text)
        return values if self._is_several(name) else values[0]

    def _combine(self, tap: str, alias: Combined, values: list) -> Any:
        """What an alias makes of recorded values, once: all who read the tap get the same tensors."""
        known, made = self._combined.get(tap, (None, None))
        leaves = tree_leaves(values)
        if known is None or len(known) != len(leaves) or any(a is not b for a, b in zip(known, leaves)):
            made = alias.combine(*values)
            self._combined[tap] = leaves, made
        return made

    def tensor(self, text: str) -> Any:
        """As :meth:`raw`, a tuple of levels reduced to its last one: a tensor, or a list of tensors."""
        return _last(self.raw(text))

    def read(self, source: str | Sequence[str]) -> Any:
        """What a proxy reads: :meth:`raw` of one tap, or a list of the :meth:`tensor` of several."""
        return self.raw(source) if isinstance(source, str) else self.value(source)

    def value(self, tap: str | Sequence[str]) -> Any:
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
            self._computed, self._combined = {}, {}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing of what runs in the block, and keep what is recorded."""
        active = [recorder for recorder in self._recorders.values() if recorder.active]
        for recorder in active:
            recorder.active = False
        try:
            yield
        finally:
            for recorder in active:
                recorder.active = True

    def _is_virtual(self, name: TapName) -> bool:
        return name.root in self._virtual

    def _is_several(self, name: TapName) -> bool:
        return not name.indices and isinstance(self._alias(name), tuple)

    def _alias(self, name: TapName) -> Alias | None:
        return self._aliases.get(name.member, {}).get(name.path)

    def _resolve(self, text: str) -> list[TapName]:
        name = TapName.parse(text)
        alias, indices = self._alias(name), name.indices
        if alias is None:
            return [name]
        if isinstance(alias, Absent):
            raise UsageError(f"tap '{text}' is none of this network's: {alias.reason}.")
        if isinstance(alias, Combined):
            alias, indices = alias.taps, ()
        elif isinstance(alias, tuple) and indices:
            alias, indices = alias[indices[0]], indices[1:]
        targets = [TapName.parse(f'{name.member}.{path}') for path in ([alias] if isinstance(alias, str) else alias)]
        return [t._replace(side=t.side or name.side, indices=t.indices + indices) for t in targets]

    def _recorder(self, name: TapName, text: str) -> Recorder:
        if name not in self._recorders:
            dtype = torch.float32 if name.member in self._halved else None
            recorder = Recorder(
                text, name.side, name.indices, dtype, name.path.startswith(self._repeated.get(name.member, ()))
            )
            recorder.active = self._active
            self._layer(name, text).register_forward_hook(recorder, with_kwargs=True)
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
            raise UsageError(
                f"tap '{text}' names no layer of {name.member}: {hint} `python -m shake_mm taps CONFIG` lists them all."
            )
        return layers[name.path]


def _last(value: Any) -> Any:
    if isinstance(value, list):
        return [_last(item) for item in value]
    return _last(value[-1]) if isinstance(value, tuple) else value
