"""A frozen teacher whose pass serves several runs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import UsageError
from ..taps import Taps
from .cache import digest, weights_key
from .cached import CachedMember
from .exchange import Exchange, Group
from .frozen import FrozenMember
from .members import Members

_PASSED = ':passed'  # no tap is called so


class Wanted(NamedTuple):
    """What a run wants of a teacher.

    Args:
        taps (list[str]): Taps, without the member's name.
        passed (bool): Whether the trunk's output too, since its head waits for what the student does.
    """

    taps: list[str]
    passed: bool


class Shared(NamedTuple):
    """Stands for a pass of which the taps have all: the trunk's output, where the head waits for the student."""

    passed: Any


class SharedMember(FrozenMember):
    """A frozen teacher in one of several runs that see the same batches: one pass, by whichever run comes first.

    The others are handed the very tensors that the first one's taps recorded, or the output of its trunk where the head
    waits for the student (a RoI head, on the student's boxes). In evaluation, and wherever :attr:`step` is not set, the
    network runs.

    Args:
        name (str): The member's.
        member (FrozenMember): The teacher as it is in this run.
        taps (Taps): The run's.
        exchange (Exchange): With the other runs.
        own (Wanted): What this run reads.
        all_of_them (Wanted): What any of them does.
    """

    def __init__(
        self, name: str, member: FrozenMember, taps: Taps, exchange: Exchange, own: Wanted, all_of_them: Wanted
    ) -> None:
        super().__init__(member.network, member.view, member.task)
        self.name, self.classes, self._taps, self._exchange = name, member.classes, taps, exchange
        self.step: int | None = None
        """The iteration that is running."""
        self._own, self._all = own, all_of_them
        for tap in all_of_them.taps:
            taps.record(name, tap)
        self._head = [tap for tap in all_of_them.taps if not tap.startswith(member.task.trunk)]
        logits_only = all(tap.startswith(member.task.logit_outputs) for tap in self._head)
        super().shorten(logits_only and not own.passed)

    def shorten(self, logits_only: bool) -> None:
        """Stay as all runs need it, whatever a stage of this one does."""

    def forward(self, inputs: Tensor, data_samples: list | None = None) -> Any:
        """Have the taps filled, by the network or by what another run has computed."""
        if self.step is None:
            return super().forward(inputs, data_samples)
        needed = [*self._own.taps, *([_PASSED] if self._own.passed else [])]
        batch = _fingerprint(inputs, data_samples, self.name)
        values, computed = self._exchange.take(self.step, batch, needed, lambda: self._compute(inputs, data_samples))
        if not computed:
            values = _moved(values, inputs.device)
            self._taps.fill(self.name, {tap: value for tap, value in values.items() if tap in self._own.taps})
        return Shared(values.get(_PASSED))

    def forward_head(self, passed: Any, taps: Taps) -> None:
        """Complete a pass that waits for the student's, or is not shared."""
        if not isinstance(passed, Shared):
            super().forward_head(passed, taps)
        elif self._own.passed:
            super().forward_head(passed.passed, taps)

    def _compute(self, inputs: Tensor, data_samples: list | None) -> dict[str, Any]:
        passed = super().forward(inputs, data_samples)
        if self._head:
            super().forward_head(passed, self._taps)
        recorded = self._taps.recorded(self.name)
        values = {tap: recorded[tap] for tap in self._all.taps}
        for tap, value in values.items():
            _check_plain(value, f'{self.name}.{tap}')
        return {**values, _PASSED: passed} if self._all.passed else values


def share_teachers(members: Members, taps: Taps, group: Group) -> list[SharedMember]:
    """Let the frozen teachers of a run serve others too, in the place of those that serve it alone.

    Args:
        members (Members): The run's.
        taps (Taps): The run's.
        group (Group): The runs that see the same batches.

    Raises:
        UsageError: If a teacher cannot be shared.
    """
    keys = {name: _key_of(name, members) for name in members.frozen}
    own = {name: _wanted(name, member, taps) for name, member in members.frozen.items()}
    announced = group.announce({name: [keys[name], *own[name]] for name in keys})
    shared = []
    for name, key in keys.items():
        of_all = [Wanted(*entry[1:]) for each in announced for entry in each.values() if entry[0] == key]
        union = Wanted(
            sorted({tap for wanted in of_all for tap in wanted.taps}), any(wanted.passed for wanted in of_all)
        )
        exchange = Exchange(group, key, name)
        members.frozen[name] = SharedMember(name, members.frozen[name], taps, exchange, own[name], union)
        shared.append(members.frozen[name])
    return shared


def _wanted(name: str, member: FrozenMember, taps: Taps) -> Wanted:
    """What a run reads of a teacher."""
    read, task = taps.paths(name), member.task
    head = [tap for tap in read if not tap.startswith(task.trunk)]
    waits = bool(head and task.guides)
    return Wanted([tap for tap in read if not (waits and tap in head)], waits)


def _key_of(name: str, members: Members) -> str:
    """Fingerprint of a teacher and of how it computes."""
    member, inference = members.frozen[name], members.specs[name].inference
    if isinstance(member, CachedMember):
        raise UsageError(f'{name}: its logits are looked up, so that there is no pass to share: leave out its `cache`.')
    if inference.auto:
        raise UsageError(
            f"{name}: inference='auto' may take another way in each of the runs that share it: name one, such as "
            'dict(channels_last=True).'
        )
    view = member.view
    return digest(
        [
            weights_key(member.network),
            *(part.float() if isinstance(part, Tensor) else repr(part) for part in view.normalization),
            repr((view.resize, view.pads, inference, type(member.task).__name__)),
        ]
    )


def _fingerprint(inputs: Any, samples: Sequence[Any] | None, name: str) -> str:
    """Of what a teacher's pass depends on in a step."""
    if not isinstance(inputs, Tensor):
        raise UsageError(f'{name}: only a teacher of images can be shared: leave out --share-teacher.')
    shapes = [sample.get('img_shape') if hasattr(sample, 'get') else None for sample in samples or ()]
    one = inputs.new_zeros(1, 1)
    computed_in = (one @ one).dtype if one.is_floating_point() else one.dtype  # that of autocast, where it is on
    return digest([inputs, repr((tuple(inputs.shape), inputs.dtype, computed_in, shapes))])


def _check_plain(value: Any, tap: str) -> None:
    """Refuse what is not tensors, numbers and texts, in lists, tuples and dicts."""
    if type(value) in (list, tuple, dict):
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(item, tap)
    elif not isinstance(value, Tensor | int | float | str | None):
        raise UsageError(
            f'{tap} holds a {type(value).__name__}, which runs cannot hand each other: name the tensor in it that is '
            'read, or train without --share-teacher.'
        )


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device) for item in value)
    return value.to(device) if isinstance(value, Tensor) else value
