"""The plan of a stage: what its steps have to run."""

from typing import NamedTuple

from ..members import Members
from ..taps import Derived
from .objective import Objective
from .stages import Stage


class Plan(NamedTuple):
    """What the steps of a stage do, worked out when it begins: the others neither run nor count.

    Args:
        terms (tuple[str]): The active terms.
        derived (tuple[Derived]): What proxies and connectors compute, in their order.
        members (set[str]): Members that run.
        labeled (set[str]): Members whose own losses count.
        headed (dict[str, bool]): Members whose pass goes on after the student's, see :class:`Task`, and whether no
            further than their logits need.
        noted (tuple[str]): Facts that terms ask for and the student's own loss makes.
    """

    terms: tuple[str, ...]
    derived: tuple[Derived, ...]
    members: set[str]
    labeled: set[str]
    headed: dict[str, bool]
    noted: tuple[str, ...] = ()


def plan_of(members: Members, objective: Objective, stage: Stage) -> Plan:
    """Follow the taps of a stage's terms back to the members that make them.

    Args:
        members (Members): The networks.
        objective (Objective): With its terms and taps.
        stage (Stage): The stage that begins.
    """
    names = objective.select(stage.terms)
    terms = [objective.terms[name] for name in names]
    found = objective.trace(tap for term in terms for tap in term.taps)
    headed: dict[str, bool] = {}
    for layer in (layer for tap in found.taps for layer in objective.taps.layers(tap)):
        member, _, path = layer.partition('.')
        task = members.task_for(member)
        if not path.startswith(task.trunk):
            headed[member] = path.startswith(task.logit_outputs) and headed.get(member, True)
    headed |= {name: False for name, teacher in members.frozen.items() if teacher.fills_taps and name in found.members}
    labeled = {term.of for term in terms if not term.taps}
    noted = tuple(sorted({field for term in terms for field in term.fields if field in task.noted}))
    return Plan(tuple(names), found.derived, found.members, labeled, headed, noted)
