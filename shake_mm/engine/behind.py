"""The rest of a network behind the taps that a connector reads, for connectors that let it go on from there."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ..errors import UsageError
from ..members import Members
from ..registry import asks_for
from ..taps import TapName, listed
from ..tasks.loss_behind import loss_behind


def behind_of(members: Members, config: dict, source: str | Sequence[str]) -> dict[str, Any]:
    """The argument ``behind`` of a connector that asks for it: what the last member of its source computes behind it.

    Of one that asks for ``behind_each``, what each of them does, in the order of the source; the student's layers
    learn from what passes through them.

    Args:
        members (Members): The networks.
        config (dict): The connector's.
        source (str | list[str]): The taps that it reads.

    Raises:
        UsageError: If that member is no frozen teacher, or does not go on behind these taps.
    """
    names = [TapName.parse(tap) for tap in listed(source)]
    if asks_for(config, 'behind_each'):
        return {'behind_each': _each(members, config, names)}
    if not asks_for(config, 'behind'):
        return {}
    member = names[-1].member
    if member not in members.frozen:
        raise UsageError(
            f'{config["type"]} goes on in the layers of {member}, which must not learn from what passes through them: '
            'name taps of a frozen teacher last in its `source`.'
        )
    paths = [name.path for name in names if name.member == member]
    return {'behind': members.task.behind(members.networks[member], paths, member)}


def own_loss_of(members: Members, sources: Mapping[str, str | Sequence[str]], tap: str | Sequence[str]) -> nn.Module:
    """The own loss, behind its trunk, of the frozen teacher from whose taps a shared connector makes a tap.

    Args:
        members (Members): The networks.
        sources (dict): What the shared connectors read, by the tap that each makes.
        tap (str | list[str]): What a term compares.

    Raises:
        UsageError: If it is made of no frozen teacher's, or that one has other classes than the labels.
    """
    name = TapName.parse(listed(tap)[-1])
    while name.root in sources:
        name = TapName.parse(listed(sources[name.root])[-1])
    if name.member not in members.frozen:
        raise UsageError(
            f'OwnLoss goes on in the layers of {name.member}, which must not learn from what passes through them: let '
            '`of` name a shared connector whose `source` ends in taps of a frozen teacher.'
        )
    task, network = members.task_for(name.member), members.networks[name.member]
    mine, its = members.number_of_classes('student'), task.num_classes(network)
    if None not in (mine, its) and mine != its:
        raise UsageError(
            f'OwnLoss asks {name.member} for its loss of the labels, which are of {mine} classes, and it has {its}: '
            'give a teacher of the same classes.'
        )
    return loss_behind(network, name.member)


def _each(members: Members, config: dict, names: Sequence[TapName]) -> list[nn.Module]:
    """What the student and frozen teachers compute behind the taps of each."""
    found = []
    for member in dict.fromkeys(name.member for name in names):
        if member != 'student' and member not in members.frozen:
            raise UsageError(
                f'{config["type"]} goes on in the layers of the student and of frozen teachers, not of {member}: name '
                'their taps in its `source`.'
            )
        paths = [name.path for name in names if name.member == member]
        found.append(members.task_for(member).behind(members.networks[member], paths, member))
    return found
