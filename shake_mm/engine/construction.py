"""Building what a distiller minimizes: proxies, taps, connectors and terms, fitted to each other by a dry run."""

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from mmengine.model import ModuleDict
from torch import Tensor, nn

from ..validation import check_mapping, check_tap
from ..errors import UsageError
from ..registry import build_part
from .dry_run import BATCH, facts_of, run_members, try_out
from .expand import SIDES, Expanded, expand_terms
from .proxies import PlannedProxy, build_proxy, plan_proxy
from .taps import Taps, levels_of, listed
from .terms import Term

if TYPE_CHECKING:
    from .distiller import Distiller

TERM_KEYS = (*list(inspect.signature(Term).parameters)[1:], 'weighting', 'level_decay')


class Objective(NamedTuple):
    """What :func:`build_objective` builds.

    Args:
        proxies (ModuleDict): By name.
        connectors (ModuleDict): Those that several terms read, by name.
        terms (ModuleDict): By the name under which they are logged.
        taps (Taps): The taps of all members.
        sources (dict[str, str | list[str]]): The tap that a proxy or connector reads, by the tap that it makes.
        origins (dict[str, str]): The terms' names in the config, by their own.
    """

    proxies: ModuleDict
    connectors: ModuleDict
    terms: ModuleDict
    taps: Taps
    sources: dict[str, str | list[str]]
    origins: dict[str, str]


def build_objective(
    model: 'Distiller',
    proxies: dict | Sequence[dict] | None,
    terms: Mapping[str, dict | None] | None,
    connectors: Mapping[str, dict] | None,
) -> Objective:
    """Build a distiller's objective.

    Args:
        model (Distiller): With its members.
        proxies (dict | list[dict], optional): See :class:`Distiller`.
        terms (dict, optional): See :class:`Distiller`.
        connectors (dict, optional): See :class:`Distiller`.

    Raises:
        UsageError: If a key is unknown, a tap does not exist, or the parts do not fit.
    """
    networks = model.networks
    number = len(networks) - 1
    configs = [proxies] * number if isinstance(proxies, dict) else _several('proxies', proxies)
    check_mapping('connectors', connectors or {}, "connectors=dict(name=dict(type=..., source='student.f2'))")
    aliases = {name: {**model.task.aliases(network), **model.specs[name].taps} for name, network in networks.items()}
    counts = {'teacher': number, 'proxy': len(configs)}
    levels = {name: levels_of(own) for name, own in aliases.items()}
    expanded = expand_terms(_checked(terms or {'task': {'of': 'student'}}), counts, levels)
    if not expanded:
        raise UsageError('terms: none is left, so there is nothing to learn: keep one, e.g. task=dict(of="student").')
    _check_own_losses(expanded, ('student', *model.peers))
    _check_logits(model, expanded, networks)

    planned = {f'proxy{i}': plan_proxy(model, i, config, levels) for i, config in enumerate(configs)}
    taps = Taps(networks, aliases, [name for name, spec in model.specs.items() if spec.inference.halved])
    sources = {f'{name}.logits': proxy.source for name, proxy in planned.items()}
    shared = {f'connectors.{name}': dict(config) for name, config in (connectors or {}).items() if config is not None}
    sources |= {tap: _popped_source(tap, config) for tap, config in shared.items()}
    read = [tap for term in expanded.values() if _compares(term.config) for tap in _taps_of(term.config)]
    for tap in sources:
        taps.declare(tap)
    derived = [tap for source in sources.values() for tap in listed(source)]
    evaluated = [f'{name}.logits' for name in networks] if model.task.compares_members else []
    wanted = (*evaluated, *derived, *read, *model.task.guides)
    for tap in wanted:
        if tap.partition('.')[0] not in planned:
            taps.request(tap)

    def run(network: nn.Module, inputs: Tensor) -> None:
        model.task.follow(network, model.task.run(network, inputs), taps)

    sizes = input_sizes(model)
    with taps.recording():
        # Where every loss is a member's own there is nothing to fit.
        taps.unknown = run_members(networks, run, sizes) if read else set(networks)
        built = _build_proxies(model, planned, wanted, taps, sizes['student'])
        modules = _build_connectors(model, shared, sources, taps)
        fitted = {name: _build_term(model, name, term.config, taps) for name, term in expanded.items()}
    taps.unknown = set()
    origins = {name: term.origin for name, term in expanded.items()}
    return Objective(built, modules, ModuleDict(fitted), taps, sources, origins)


def _build_proxies(
    model: 'Distiller', planned: Mapping[str, PlannedProxy], wanted: Sequence[str], taps: Taps, size: Sequence[int]
) -> ModuleDict:
    """Build the proxies to what the taps hold, let their layers be tapped, and try them out."""
    built = ModuleDict()
    for name, proxy in planned.items():
        built[name] = build_proxy(model, proxy, taps.value(proxy.source), size)
        taps.add_member(name, built[name])
    for tap in wanted:
        taps.request(tap)
    for name, proxy in built.items():
        taps.put(f'{name}.logits', try_out(name, proxy, taps.read(proxy.source)))
    return built


def _build_connectors(
    model: 'Distiller', configs: Mapping[str, dict], sources: Mapping[str, str | list[str]], taps: Taps
) -> ModuleDict:
    """Build the shared connectors to what the taps hold, and try them out."""
    modules = ModuleDict()
    for tap, config in configs.items():
        source, name = taps.value(sources[tap]), tap.removeprefix('connectors.')
        modules[name] = build_part(config, facts_of(source, None, model.num_samples), tap)
        taps.put(tap, try_out(tap, modules[name], source))
    return modules


def _checked(terms: Mapping[str, dict | None]) -> Mapping[str, dict | None]:
    """The terms, after their keys are checked."""
    check_mapping('terms', terms, "terms=dict(task=dict(of='student'))")
    for name, config in terms.items():
        if config is not None:
            check_mapping(f'terms.{name}', config, f"{name}=dict(of='student.logits', ...)")
        for key in config or ():
            if key not in TERM_KEYS:
                raise UsageError(f"terms.{name}: unknown key '{key}', a term has {', '.join(TERM_KEYS)}.")
        if config is not None and 'of' not in config:
            raise UsageError(f"terms.{name}: 'of' is missing: name the tap that learns, e.g. of='student.logits'.")
        for side in SIDES:
            if config is not None and (side == 'of' or config.get(side) is not None):
                check_tap(f'terms.{name}.{side}', config[side])
    return terms


def _several(where: str, parts: Any) -> list:
    """A list of parts, each a config or a module."""
    if not isinstance(parts or (), Sequence) or not all(isinstance(part, dict | nn.Module) for part in parts or ()):
        raise UsageError(f"{where} is {parts!r}, but it must be a config or a list of them: give dict(type='...').")
    return list(parts or ())


def _check_own_losses(expanded: Mapping[str, Expanded], learners: Sequence[str]) -> None:
    for name, term in expanded.items():
        of = term.config['of']
        if not _compares(term.config) and 'to' not in term.config and of not in learners:
            raise UsageError(f"terms.{name}: '{of}' has no loss of its own, only the student and trained members have.")


def _check_logits(model: 'Distiller', expanded: Mapping[str, Expanded], networks: Mapping[str, nn.Module]) -> None:
    read = {tap for term in expanded.values() if _compares(term.config) for tap in _taps_of(term.config)}
    if any(tap.partition('.')[2].startswith('logits') for tap in read):
        others = {name: networks[name] for name in networks if name != 'student' and f'{name}.logits' in read}
        model.task.check_logits(model.student, others)


def _popped_source(tap: str, config: dict) -> str | list[str]:
    if 'source' not in config:
        raise UsageError(f"{tap}: 'source' is missing: name the tap that it reads, e.g. source='student.f2'.")
    check_tap(f'{tap}.source', config['source'])
    return config.pop('source')


def _compares(config: dict) -> bool:
    """Whether a term reads taps, and is not a member's own loss."""
    return config.get('loss') is not None


def _taps_of(config: dict) -> list[str]:
    return [tap for side in SIDES if config.get(side) is not None for tap in listed(config[side])]


def _build_term(model: 'Distiller', name: str, config: dict, taps: Taps) -> Term:
    """Build a term whose connectors and loss fit the shapes of its taps, and try them out."""
    if not _compares(config):
        return Term(name, **config)
    if isinstance(config['loss'], Mapping) and 'type' not in config['loss']:
        config = {**config, 'loss': model.task.divergence(model.student, config['loss'])}

    def build(key: str, learner: Any, target: Any) -> nn.Module:
        return build_part(config[key], facts_of(learner, target, model.num_samples), f'terms.{name}.{key}')

    learner, target = taps.value(config['of']), taps.value(config.get('to') or [])
    parts: dict[str, nn.Module] = {}
    if config.get('to_connector') is not None:
        parts['to_connector'] = build('to_connector', target, None)
        target = try_out(f'terms.{name}.to_connector', parts['to_connector'], target)
    if config.get('connector') is not None:
        parts['connector'] = build('connector', learner, target)
        learner = try_out(f'terms.{name}.connector', parts['connector'], learner)
    parts['loss'] = build('loss', learner, target)
    term = Term(name, **{**config, **parts})
    compared = (learner,) if term.to is None else (learner, target)
    try_out(f'terms.{name}', term.loss, *compared, *map(_field, term.fields))
    return term


def _field(name: str) -> Tensor | None:
    """What is known of a batch before there is one."""
    return torch.empty(BATCH, dtype=torch.long, device='meta') if name in ('gt_labels', 'label') else None


def input_sizes(model: 'Distiller') -> dict[str, Sequence[int]]:
    """Height and width of the images of a dry run, by member."""
    size = model.input_size or getattr(getattr(model.student, 'backbone', None), 'img_size', None)
    size = size or model.task.input_size
    size = (size, size) if isinstance(size, int) else tuple(size)
    return {name: model.specs[name].resize or size for name in model.networks}
