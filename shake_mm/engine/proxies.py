"""Proxies: what a distiller fills in of their configs."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from ..registry import MODELS, build_part
from .dry_run import facts_of
from .expand import levels_behind
from .taps import listed

if TYPE_CHECKING:
    from .distiller import Distiller


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
    model: 'Distiller', number: int, config: dict | nn.Module, levels: Mapping[str, Sequence[str]]
) -> PlannedProxy:
    """Find out what a proxy reads.

    Its ``source`` is what the config says, else the class's ``reads``, else the task's. ``teacher*`` in it is the
    teacher of the proxy's number, and ``f*`` all stages.

    Args:
        model (Distiller): With its members.
        number (int): Of the proxy.
        config (dict | nn.Module): The proxy's, as in the distiller's.
        levels (dict): Tap names of the stages by member.

    Raises:
        UsageError: If the stages of a member are not known.
    """
    name, teacher = f'proxy{number}', model.networks.get(f'teacher{number}')
    if not isinstance(config, dict):
        return PlannedProxy(name, config, config.source, teacher)
    config = {key: value for key, value in config.items() if value is not None}
    source = config.get('source') or getattr(_class_of(config), 'reads', None) or model.task.shadow_source
    own = [re.sub(r'^teacher\*', f'teacher{number}', tap) for tap in listed(source)]
    taps = [tap for entry in own for tap in levels_behind(name, entry, levels)]
    source = taps[0] if isinstance(source, str) and taps == own else taps
    return PlannedProxy(name, {**config, 'source': source}, source, teacher)


def build_proxy(model: 'Distiller', plan: PlannedProxy, value: Any, input_size: Sequence[int]) -> nn.Module:
    """Build a proxy, with what its constructor asks for and its config leaves out.

    That is the ``student`` and the ``teacher`` (the networks themselves), ``network`` (the student's config), ``head``
    (a branch of the architecture of the student's own), ``input_size``, and the channels of what it reads.

    Args:
        model (Distiller): With its members.
        plan (PlannedProxy): See :func:`plan_proxy`.
        value (Any): What its source holds in the dry run.
        input_size (tuple[int, int]): Height and width of the student's images.

    Raises:
        UsageError: If something is asked for that is not known.
    """
    if not isinstance(plan.config, dict):
        return plan.config
    spec = model.specs['student']
    facts = {
        **facts_of(value, None, model.num_samples),
        'student': model.student,
        'teacher': plan.teacher,
        'network': spec.config,
        'input_size': tuple(input_size),
    }
    cls = _class_of(plan.config)
    if cls is not None and 'head' in inspect.signature(cls).parameters and 'head' not in plan.config:
        facts['head'] = model.task.branch(model.student, spec.config)
    config = dict(plan.config)
    if isinstance(config.get('neck'), dict):
        config['neck'] = build_part(config['neck'], facts, f'{plan.name}.neck')
    return build_part(config, facts, plan.name)


def _class_of(config: dict) -> type | None:
    kind = config.get('type')
    return MODELS.get(kind) if isinstance(kind, str) else kind
