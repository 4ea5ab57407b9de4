"""Proxies: what a distiller fills in of their configs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from ..errors import UsageError
from ..members import Members
from ..registry import MODELS, asks_for, build_part
from ..taps import listed
from .dry_run import facts_of
from .expand import levels_behind


class PlannedProxy(NamedTuple):
    """A proxy before it is built.

    Args:
        name (str): ``'proxy0'``.
        config (dict | nn.Module): Its config, or the proxy itself.
        source (str | list[str]): The tap, or taps, that it reads.
        teacher (nn.Module | None): The teacher that it stands for: the one of its number.
    """

    name: str
    config: dict | nn.Module
    source: str | list[str]
    teacher: nn.Module | None


def plan_proxy(
    members: Members, number: int, config: dict | nn.Module, levels: Mapping[str, Sequence[str]]
) -> PlannedProxy:
    """Find out what a proxy reads.

    Its ``source`` is what the config says, else the class's ``reads``, else the task's. ``teacher*`` in it is the
    teacher of the proxy's number, and ``f*`` all levels.

    Args:
        members (Members): The networks.
        number (int): Of the proxy.
        config (dict | nn.Module): The proxy's, as in the distiller's.
        levels (dict): Tap names of the levels by member.

    Raises:
        UsageError: If the levels of a member are not known.
    """
    name, teacher = f'proxy{number}', members.networks.get(f'teacher{number}')
    if not isinstance(config, dict):
        return PlannedProxy(name, config, config.source, teacher)
    config = {key: value for key, value in config.items() if value is not None}
    source = config.get('source') or getattr(_class_of(config), 'reads', None)
    if not source:
        members.task.check_shadow(members.student, name)
        source = members.task.shadow_source
    own = [re.sub(r'^teacher\*', f'teacher{number}', tap) for tap in listed(source)]
    taps = [tap for entry in own for tap in levels_behind(name, entry, levels)]
    source = taps[0] if isinstance(source, str) and taps == own else taps
    return PlannedProxy(name, {**config, 'source': source}, source, teacher)


def build_proxy(
    members: Members, plan: PlannedProxy, value: Any, num_samples: int | None, input_size: Sequence[int]
) -> nn.Module:
    """Build a proxy, with what its constructor asks for and its config leaves out.

    That is the ``student`` (the network itself), ``network`` (the student's config), ``head`` (a branch of the
    architecture of the student's own), ``classifier`` (of the teacher of its number), ``input_size``, and the channels
    of what it reads.

    Args:
        members (Members): The networks.
        plan (PlannedProxy): See :func:`plan_proxy`.
        value (Any): What its source holds in the dry run.
        num_samples (int, optional): Size of the training set.
        input_size (tuple[int, int]): Height and width of the student's images.

    Raises:
        UsageError: If something is asked for that is not known.
    """
    if not isinstance(plan.config, dict):
        return plan.config
    student, config = members.student, members.specs['student'].config
    facts = {
        **facts_of(value, None, num_samples),
        'student': student,
        'network': config,
        'input_size': tuple(input_size),
    }
    if asks_for(plan.config, 'head'):
        facts['head'] = members.task.build_branch(student, config)
    if asks_for(plan.config, 'classifier'):
        facts['classifier'] = None if plan.teacher is None else members.task.classifier(plan.teacher, plan.name)
        mapped = members.frozen.get(plan.name.replace('proxy', 'teacher'))
        if mapped is not None and mapped.classes is not None:
            raise UsageError(
                f"{plan.name}: it asks its teacher's classifier, whose classes are matched by name: use another proxy."
            )
    own = dict(plan.config)
    if isinstance(own.get('neck'), dict):
        own['neck'] = build_part(own['neck'], facts, f'{plan.name}.neck')
    return build_part(own, facts, plan.name)


def _class_of(config: dict) -> type | None:
    kind = config.get('type')
    return MODELS.get(kind) if isinstance(kind, str) else kind
