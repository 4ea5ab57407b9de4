"""What a distiller minimizes, as one value, and how it is built: parts are fitted to each other by a dry run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mmengine.model import ModuleDict
from torch import nn

from ..errors import UsageError
from ..members import Members
from ..registry import build_part
from ..taps import Derived, TapName, Taps, Trace, levels_of, listed, trace
from ..validation import check_mapping
from .behind import behind_of
from .dry_run import facts_of, run_members, try_out
from .expand import Expanded, expand_terms, levels_behind, select
from .norms import part_behind
from .proxies import PlannedProxy, build_proxy, plan_proxy
from .term_config import check_terms, compares, completed, popped_source, taps_of
from .terms import build_term
from .weighting import Group, adaptive_groups


@dataclass
class Objective:
    """Terms, and all that they read.

    Args:
        terms (ModuleDict): By the name under which they are logged.
        proxies (ModuleDict): By name, ``proxy0``, ``proxy1``, …
        connectors (ModuleDict): Those that several terms read, by name.
        taps (Taps): The taps of all networks.
        derived (dict[str, Derived]): What proxies and connectors make, by tap, in the order in which they run.
        origins (dict[str, str]): The terms' names in the config, by their own.
        adaptive (list[Group]): Terms that are weighed anew in every step.
    """

    terms: ModuleDict
    proxies: ModuleDict
    connectors: ModuleDict
    taps: Taps
    derived: dict[str, Derived]
    origins: dict[str, str]
    adaptive: list[Group]

    def select(self, names: Sequence[str] | None) -> list[str]:
        """The terms that a stage names, see :func:`~shake_mm.engine.expand.select`."""
        return select(self.origins, names)

    def trace(self, taps: Iterable[str]) -> Trace:
        """What some taps depend on, see :func:`~shake_mm.taps.trace`."""
        return trace(taps, self.derived)

    def trace_proxies(self, names: Iterable[str] | None = None) -> Trace:
        """What the logits of some proxies depend on; of all, where none is named."""
        return self.trace(f'{name}.logits' for name in (self.proxies if names is None else names))

    @property
    def compared(self) -> set[str]:
        """The members whose logits a term reads."""
        read = (TapName.parse(tap) for term in self.terms.values() for tap in term.taps)
        return {name.member for name in read if name.path == 'logits'}

    @property
    def read(self) -> set[str]:
        """All taps that something reads."""
        sources = {tap for entry in self.derived.values() for tap in listed(entry.source)}
        return sources | {tap for term in self.terms.values() for tap in term.taps}


def build_objective(
    members: Members,
    proxies: dict | Sequence[dict] | None = None,
    terms: Mapping[str, dict | None] | None = None,
    connectors: Mapping[str, dict | None] | None = None,
    num_samples: int | None = None,
    input_size: int | Sequence[int] | None = None,
) -> Objective:
    """Build the objective of a distiller.

    Args:
        members (Members): The networks.
        proxies (dict | list[dict], optional): See :class:`Distiller`.
        terms (dict, optional): See :class:`Distiller`.
        connectors (dict, optional): See :class:`Distiller`.
        num_samples (int, optional): Size of the training set.
        input_size (int | tuple[int, int], optional): Height and width of the images of the dry run.

    Raises:
        UsageError: If a key is unknown, a tap does not exist, or the parts do not fit.
    """
    terms = terms or {'task': {'of': 'student'}}
    shared = _shared_connectors(connectors, members)
    expanded, planned = _write_out(members, proxies, terms)
    taps, read = _declare_taps(members, planned, shared, expanded)
    sizes = members.image_sizes(input_size)
    with taps.recording():
        # Where every loss is a member's own there is nothing to fit.
        run, channels = members.dry_pass(taps), members.task.channels
        taps.unknown = run_members(members.networks, run, sizes, channels) if read else set(members.networks)
        built = _build_proxies(members, planned, taps, num_samples, sizes['student'])
        behind = [tap for _, source in shared.values() for tap in listed(source)]
        for tap in (*read, *behind):
            taps.request(tap)  # also of the proxies' layers, which are known now
        _try_proxies(built, taps)
        modules = _build_connectors(members, shared, taps, num_samples)
        sources = {tap: source for tap, (_, source) in shared.items()}
        fact = partial(part_behind, members, taps, sizes, sources)
        fitted = _build_terms(members, expanded, taps, num_samples, fact)
    taps.unknown = set()
    derived = [Derived(f'{name}.logits', m, planned[name].source, f'proxies.{name}', True) for name, m in built.items()]
    derived += [Derived(tap, modules[_name_of(tap)], source, tap, False) for tap, (_, source) in shared.items()]
    origins = {name: term.origin for name, term in expanded.items()}
    adaptive = adaptive_groups(terms, fitted, origins)
    return Objective(fitted, built, modules, taps, {entry.tap: entry for entry in derived}, origins, adaptive)


def _write_out(
    members: Members, proxies: dict | Sequence[dict] | None, terms: Mapping[str, dict | None]
) -> tuple[dict[str, Expanded], dict[str, PlannedProxy]]:
    """The terms and the proxies, one by one, after their keys are checked."""
    levels = {name: levels_of(own) for name, own in members.aliases().items()}
    entries = proxy_entries(proxies, members.number_of_teachers)
    check_terms(terms)
    expanded = expand_terms(terms, {'teacher': members.number_of_teachers, 'proxy': len(entries)}, levels)
    _check_expanded(expanded, members)
    return expanded, {f'proxy{i}': plan_proxy(members, i, entry, levels) for i, entry in enumerate(entries)}


def _declare_taps(
    members: Members,
    planned: Mapping[str, PlannedProxy],
    shared: Mapping[str, tuple[dict, str | list[str]]],
    expanded: Mapping[str, Expanded],
) -> tuple[Taps, list[str]]:
    """The taps, with those of networks that are read requested, and what the terms read."""
    taps = members.taps(members.aliases())
    sources = {f'{name}.logits': proxy.source for name, proxy in planned.items()}
    sources |= {tap: source for tap, (_, source) in shared.items()}
    for tap in sources:
        taps.declare(tap)
    read = [tap for term in expanded.values() if compares(term.config) for tap in taps_of(term.config)]
    evaluated = [f'{name}.logits' for name in members.networks] if members.compared else []
    behind = [tap for source in sources.values() for tap in listed(source)]
    for tap in (*evaluated, *behind, *read, *members.task.guides_of(read)):
        if tap.partition('.')[0] not in planned:  # a proxy's layers are known once it is built
            taps.request(tap)
    return taps, read


def _check_expanded(terms: Mapping[str, Expanded], members: Members) -> None:
    """Refuse an objective without terms, losses of members that have none, and logits that do not belong together."""
    if not terms:
        raise UsageError('terms: none is left, so there is nothing to learn: keep one, e.g. task=dict(of="student").')
    read: set[str] = set()
    for name, term in terms.items():
        of = term.config['of']
        if compares(term.config):
            read.update(taps_of(term.config))
        elif 'to' not in term.config and of not in members.learners:
            raise UsageError(f"terms.{name}: '{of}' has no loss of its own, only the student and trained members have.")
    if any(tap.partition('.')[2].startswith('logits') for tap in read):
        compared = {name: network for name, network in members.networks.items() if f'{name}.logits' in read}
        for name, network in compared.items():
            _check_number_of_classes(members, name)
            if 'logits' not in members.specs[name].taps:
                members.task_for(name).check_scores(network, name, name in members.learners)
        members.task.check_logits(members.student, {name: net for name, net in compared.items() if name != 'student'})


def _check_number_of_classes(members: Members, name: str) -> None:
    mine, theirs = members.number_of_classes('student'), members.number_of_classes(name)
    if mine is not None and theirs is not None and mine != theirs:
        raise UsageError(
            f'{name} has {theirs} classes and the student has {mine}: set both `num_classes` alike, or classes='
            f"'by_name' in the entry of {name}, or distill features."
        )


def proxy_entries(proxies: Any, number: int) -> list[dict | nn.Module]:
    """The proxies one by one: a single config stands for one per teacher.

    Raises:
        UsageError: If they are something else.
    """
    if isinstance(proxies, Mapping):
        return [proxies] * number
    entries = proxies or ()
    if not isinstance(entries, Sequence) or not all(isinstance(entry, Mapping | nn.Module) for entry in entries):
        raise UsageError(f"proxies is {proxies!r}, but it must be a config or a list of them: give dict(type='...').")
    return list(entries)


def _shared_connectors(
    configs: Mapping[str, dict | None] | None, members: Members
) -> dict[str, tuple[dict, str | list[str]]]:
    """Config and source of the shared connectors, by the tap that each makes; ``f*`` in a list means all levels."""
    check_mapping('connectors', configs or {}, "connectors=dict(name=dict(type=..., source='student.f2'))")
    shared = {f'connectors.{name}': dict(config) for name, config in (configs or {}).items() if config is not None}
    levels = {name: levels_of(own) for name, own in members.aliases().items()} if shared else {}
    sources = {tap: popped_source(tap, config) for tap, config in shared.items()}
    for tap, source in sources.items():
        if not isinstance(source, str):
            sources[tap] = [one for entry in source for one in levels_behind(tap, entry, levels)]
    return {tap: (shared[tap], sources[tap]) for tap in _in_order(sources)}


def _in_order(sources: Mapping[str, str | list[str]]) -> list[str]:
    """The taps of connectors, each behind those that it reads: a config that is written to a file is sorted by name."""
    needed = {tap: {TapName.parse(one).root for one in listed(source)} for tap, source in sources.items()}
    waiting, order = list(sources), []
    while waiting:
        tap = next((tap for tap in waiting if needed[tap].isdisjoint(waiting)), None)
        if tap is None:
            names = ', '.join(waiting)
            raise UsageError(f'{waiting[0]}: what it reads depends on it ({names}): let `source` name other taps.')
        order.append(tap)
        waiting.remove(tap)
    return order


def _name_of(tap: str) -> str:
    return tap.partition('.')[2]


def _build_proxies(
    members: Members,
    planned: Mapping[str, PlannedProxy],
    taps: Taps,
    num_samples: int | None,
    size: Sequence[int],
) -> ModuleDict:
    """Build the proxies to what the taps hold, and let their layers be tapped."""
    built = ModuleDict()
    for name, proxy in planned.items():
        built[name] = build_proxy(members, proxy, taps.value(proxy.source), num_samples, size)
        taps.add_member(name, built[name])
    return built


def _try_proxies(proxies: Mapping[str, nn.Module], taps: Taps) -> None:
    """Let the taps hold what the proxies make in the dry run."""
    for name, proxy in proxies.items():
        taps.put(f'{name}.logits', try_out(name, proxy, taps.read(proxy.source)))


def _build_connectors(
    members: Members, shared: Mapping[str, tuple[dict, str | list[str]]], taps: Taps, num_samples: int | None
) -> ModuleDict:
    """Build the shared connectors to what the taps hold, and try them out."""
    modules = ModuleDict()
    for tap, (config, source) in shared.items():
        value, name = taps.value(source), _name_of(tap)
        facts = {**facts_of(value, None, num_samples), **behind_of(members, config, source)}
        modules[name] = build_part(config, facts, tap)
        taps.put(tap, try_out(tap, modules[name], value))
    return modules


def _build_terms(
    members: Members,
    expanded: Mapping[str, Expanded],
    taps: Taps,
    num_samples: int | None,
    behind: Callable[[str, str], nn.Module | None],
) -> ModuleDict:
    """Build the terms to what the taps hold; a loss without a type is the task's."""
    terms = ModuleDict()
    for name, term in expanded.items():
        config = term.config
        if isinstance(config.get('loss'), Mapping):
            loss = completed(config['loss'], members.task.defaults_of(members.student))
            loss = loss if 'type' in loss else members.task.logits_loss(members.student, loss)
            config = {**config, 'loss': loss}
        terms[name] = build_term(name, config, taps, num_samples, behind)
        members.task.check_facts(members.student, terms[name].fields)
    return terms
