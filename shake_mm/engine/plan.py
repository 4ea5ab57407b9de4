"""The plan of a stage: what its steps have to run."""

from typing import TYPE_CHECKING, NamedTuple

from .expand import select
from .stages import Stage
from .taps import TapName, listed

if TYPE_CHECKING:
    from .distiller import Distiller


class Plan(NamedTuple):
    """What the steps of a stage do, worked out when it begins: the others neither run nor count.

    Args:
        terms (tuple[str]): The active terms.
        needed (set[str]): Members and derived taps that they read, directly or through one another.
        labeled (set[str]): Members whose own losses count.
        followed (dict[str, bool]): Members whose pass goes on after the student's, see :class:`Task`, and whether no
            further than their logits need.
    """

    terms: tuple[str, ...]
    needed: set[str]
    labeled: set[str]
    followed: dict[str, bool]


def plan_of(model: 'Distiller', stage: Stage) -> Plan:
    """Follow the taps of a stage's terms back to the members that make them.

    Args:
        model (Distiller): With its members, terms and taps.
        stage (Stage): The stage that begins.
    """
    names = select(model._origins, stage.terms)
    terms = [model.terms[name] for name in names]
    waiting = [tap for term in terms for tap in term.taps]
    needed: set[str] = set()
    followed: dict[str, bool] = {}
    while waiting:
        name = TapName.parse(text := waiting.pop())
        tap = f'{name.member}.{name.path}'
        if tap in model.sources:
            needed.add(tap)
            waiting.extend(listed(model.sources[tap]))
        else:
            needed.add(name.member)
            layers = [layer.partition('.')[2] for layer in model.taps.layers(text)]
            later = [layer for layer in layers if not layer.startswith(model.task.trunk)]
            if later:
                scores = all(layer.startswith(model.task.scores) for layer in later)
                followed[name.member] = scores and followed.get(name.member, True)
    followed |= {name: False for name, member in model._frozen.items() if member.follows and name in needed}
    return Plan(tuple(names), needed, {term.of for term in terms if not term.taps}, followed)
