"""Stages: which terms are active and which members are trained, until when, and how many epochs they add.

Whether ``until`` counts epochs or iterations is what mmengine's schedulers call ``by_epoch``.
"""

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any

from torch import nn

from ..errors import UsageError
from ..validation import check_arguments, check_mapping, check_number, nearest

PARTS = ('student', 'peers', 'proxies', 'connectors', 'terms')
"""The parts of a distiller that hold parameters."""


@dataclass(frozen=True)
class Stage:
    """A span of epochs, or of iterations.

    Args:
        name (str): Its key in the config.
        until (int, optional): The first epoch that does not belong to the stage, or the first iteration, both counted
            from 0. None for the last stage.
        terms (list[str], optional): Names of the active terms. Defaults to all.
        train (list[str], optional): Prefixes of the trained parameters, as ``state_dict`` names them
            (``'student'``, ``'peers.teacher0.head'``, ``'proxies'``), or a network's body (``'student.body'``, see
            :func:`resolve_bodies`). Defaults to all.
        reset_optimizer (bool): Whether the optimizer forgets its state (momentum) when the stage begins, as where a
            method's initialization ends and its training begins. Defaults to False.
        adds_epochs (bool): Whether the stage's epochs come before those of ``train_cfg``, whose schedule begins when
            the stage ends: ``max_epochs``, the parameter schedulers and the later validations move with it. Defaults
            to False.
        lr_factor (float): What the learning rate is multiplied by in a stage that adds epochs, which is otherwise the
            optimizer's own. Defaults to 1.
        by_epoch (bool): Whether ``until`` counts epochs. A training by iterations has none, and needs False. Defaults
            to True.
    """

    name: str
    until: int | None = None
    terms: Sequence[str] | None = None
    train: Sequence[str] | None = None
    reset_optimizer: bool = False
    adds_epochs: bool = False
    lr_factor: float = 1.0
    by_epoch: bool = True

    def trains(self, name: str) -> bool:
        """Whether the parameter ``name`` is trained."""
        return self.train is None or any(name == p or name.startswith(f'{p}.') for p in self.train)

    def check_trained(self, trainable: Iterable[str]) -> None:
        """Refuse a stage that trains nothing.

        Args:
            trainable (iterable of str): The parameters that can be trained.

        Raises:
            UsageError: If no parameter is trained, or a prefix names nothing. (A whole part, such as ``'terms'``, may
                be empty.)
        """
        trainable = list(trainable)
        prefixes = list(self.train or ())
        empty = [p for p in prefixes if not any(name == p or name.startswith(f'{p}.') for name in trainable)]
        if prefixes and (empty == prefixes or not {*empty} <= {*PARTS}):
            wrong = [prefix for prefix in empty if prefix not in PARTS] or empty
            raise UsageError(
                f'stages.{self.name}: no parameter matches {wrong[0]!r} in train={prefixes}: name trained parts of '
                f'{", ".join(sorted({name.partition(".")[0] for name in trainable}))}.'
            )


_KEYS = tuple(field.name for field in fields(Stage) if field.name != 'name')
_EXAMPLE = "stages=dict(first=dict(until=30, terms=['hint']), main=dict())"


def build_stages(configs: Mapping[str, dict | None] | Sequence[dict] | None) -> tuple[Stage, ...]:
    """Build stages from their config; without one, a single stage trains everything on all terms.

    Args:
        configs (dict[str, dict | None], optional): The stages by name; None drops one. They follow one another by their
            ``until``, in whichever order they are written: mmengine sorts the keys of the configs that it saves.

    Raises:
        UsageError: Naming the stage and the key.
    """
    stages = [_build_stage(name, config) for name, config in _by_name(configs) if config is not None]
    stages = stages or [Stage('main')]
    if isinstance(configs, Mapping):
        stages.sort(key=lambda stage: inf if stage.until is None else stage.until)
    _check_units(stages)
    ends = [inf if stage.until is None else stage.until for stage in stages]
    if ends[-1] != inf or ends != sorted(set(ends)):
        raise UsageError(
            'stages: `until` must increase and be left out of the last stage, but it reads '
            f'{", ".join(f"{stage.name}: {stage.until}" for stage in stages)}.'
        )
    adding = [stage.adds_epochs for stage in stages]
    if adding != sorted(adding, reverse=True) or adding[-1]:
        name = stages[-1].name if adding[-1] else stages[adding.index(False)].name
        raise UsageError(
            f'stages.{name}: the epochs that stages add come before those of `train_cfg`: set adds_epochs=True in the '
            'first stages alone, and never in the last.'
        )
    return tuple(stages)


def _check_units(stages: Sequence[Stage]) -> None:
    """Refuse stages of which some end at an epoch and others at an iteration, and added epochs that are none."""
    ending = [stage for stage in stages if stage.until is not None]
    other = next((stage for stage in ending if stage.by_epoch != ending[0].by_epoch), None)
    if other is not None:
        raise UsageError(
            f'stages.{other.name}: by_epoch is {other.by_epoch} here and {not other.by_epoch} in stages.'
            f'{ending[0].name}: set it alike in all.'
        )
    adding = next((stage for stage in ending if stage.adds_epochs and not stage.by_epoch), None)
    if adding is not None:
        raise UsageError(f'stages.{adding.name}: adds_epochs=True adds epochs, and by_epoch=False counts iterations.')


def _by_name(configs: Any) -> list[tuple[str, dict | None]]:
    """Names and configs of stages; those of a list are called by their place in it."""
    if isinstance(configs, Sequence) and not isinstance(configs, str):
        warnings.warn(f'stages: a list is the former form: give each a name, e.g. {_EXAMPLE}.', FutureWarning, 2)
        configs = {str(i): config for i, config in enumerate(configs)}
    configs = {} if configs is None else configs
    check_mapping('stages', configs, _EXAMPLE)
    for name, config in configs.items():
        if config is not None:
            check_mapping(f'stages.{name}', config, f'{name}=dict(until=30)')
    return list(configs.items())


def _build_stage(name: str, config: Mapping[str, Any]) -> Stage:
    """A stage, after its keys are checked."""
    where = f'stages.{name}'
    for key in config:
        if key not in _KEYS:
            near = nearest(str(key), _KEYS)
            hint = f'did you mean {near}?' if near else f'a stage has {", ".join(_KEYS)}.'
            raise UsageError(f"{where}: unknown key '{key}', {hint}")
    check_arguments(Stage, config, where)
    stage = Stage(name, **config)
    if stage.until is not None:
        check_number(f'{where}.until', stage.until, least=1)
    for key in ('terms', 'train'):
        _check_names(f'{where}.{key}', config.get(key))
    if not 0 < stage.lr_factor <= 1:
        raise UsageError(f'{where}.lr_factor is {stage.lr_factor}, but it must be above 0 and at most 1.')
    if stage.lr_factor != 1 and not stage.adds_epochs:
        raise UsageError(
            f'{where}: lr_factor={stage.lr_factor} needs adds_epochs=True: `param_scheduler` sets the rest.'
        )
    return stage


def _check_names(where: str, names: Any) -> None:
    several = isinstance(names, Sequence) and not isinstance(names, str) and len(names) > 0
    if names is not None and not (several and all(isinstance(name, str) for name in names)):
        raise UsageError(f'{where} is {names!r}, but it must be a list of names, or be left out, which means all.')


def resolve_bodies(stages: Iterable[Stage], networks: Mapping[str, nn.Module]) -> tuple[Stage, ...]:
    """Write out what stages call a network's body: all that its levels, ``f1`` to ``fm``, depend on.

    A backbone that has layers behind its last level states the others as ``body_layers``; else the whole backbone is
    the body, and of a network without a backbone all of it.

    Args:
        stages (iterable of Stage): Whose ``train`` may name ``'student.body'``, say.
        networks (dict[str, nn.Module]): By the names that ``state_dict`` has, e.g. ``'student'``.
    """
    bodies = {f'{name}.body': _body_of(name, network) for name, network in networks.items()}
    resolved = []
    for stage in stages:
        train = stage.train and [part for prefix in stage.train for part in bodies.get(prefix, [prefix])]
        resolved.append(replace(stage, train=train))
    return tuple(resolved)


def _body_of(name: str, network: nn.Module) -> list[str]:
    if hasattr(network, 'body'):  # a layer that is really called so
        return [f'{name}.body']
    if not hasattr(network, 'backbone'):
        return [name]
    layers = getattr(network.backbone, 'body_layers', None)
    return [f'{name}.backbone'] if layers is None else [f'{name}.backbone.{layer}' for layer in layers]


def added_epochs(stages: Iterable[Stage]) -> int:
    """How many epochs the stages add to those of ``train_cfg``."""
    return max((stage.until or 0 for stage in stages if stage.adds_epochs), default=0)


def total_epochs(cfg: Mapping[str, Any]) -> int:
    """How many epochs a run trains: those of its ``train_cfg`` and those that the stages of its model add.

    Args:
        cfg (dict): The run's config.

    Raises:
        UsageError: If it counts iterations.
    """
    stages = (cfg.get('model') or {}).get('stages') or {}
    configs = stages.values() if isinstance(stages, Mapping) else stages
    if 'max_epochs' not in cfg['train_cfg']:
        raise UsageError('train_cfg.max_epochs is missing: grids and tables count epochs, give the training some.')
    added = [stage['until'] for stage in configs if stage and stage.get('adds_epochs')]
    return cfg['train_cfg']['max_epochs'] + max(added, default=0)


def by_iteration(stages: Iterable[Stage]) -> bool:
    """Whether the stages end at iterations."""
    return any(stage.until is not None and not stage.by_epoch for stage in stages)


def stage_at(stages: Sequence[Stage], count: int) -> int:
    """Index of the stage that an epoch belongs to, or an iteration, whichever the stages count, from 0."""
    return next(i for i, stage in enumerate(stages) if stage.until is None or count < stage.until)


def begins_at(stages: Sequence[Stage], index: int) -> int:
    """First epoch, or iteration, of the stage ``index``, counted from 0."""
    return stages[index - 1].until or 0 if index else 0


def set_trained(model: nn.Module, stage: Stage, frozen: set[str]) -> list[str]:
    """Freeze what a stage does not train, and thaw of its own what earlier stages froze, and nothing else.

    What a config, a network or a hook froze stays frozen, and what a hook thawed is trained where the stage trains it.

    Gradients left over from an earlier stage are dropped: an optimizer skips a parameter without gradient, so that
    neither momentum nor weight decay moves what the stage does not train.

    Args:
        model (nn.Module): The distiller.
        stage (Stage): The stage that begins.
        frozen (set[str]): Parameters that stages have frozen; kept up to date.

    Returns:
        list[str]: Names of the trained parameters.
    """
    trained = []
    for name, parameter in model.named_parameters():
        if stage.trains(name):
            if name in frozen:
                parameter.requires_grad_(True)
                frozen.remove(name)
        elif parameter.requires_grad:
            parameter.requires_grad_(False)
            frozen.add(name)
        if parameter.requires_grad:
            trained.append(name)
        else:
            parameter.grad = None
    if not trained:
        raise UsageError(f'stages.{stage.name}: no parameter matches train={list(stage.train or [])}.')
    return trained


def modules_of(model: nn.Module, names: Collection[str]) -> list[nn.Module]:
    """The modules all of whose parameters are among those named, and that have one.

    Args:
        model (nn.Module): The distiller.
        names (collection of str): Parameters of it.
    """
    if not names:
        return []
    others = {prefix for name, _ in model.named_parameters() if name not in names for prefix in _prefixes(name)}
    owners = {prefix for name in names for prefix in _prefixes(name)} - others
    return [module for name, module in model.named_modules() if name in owners]


def _prefixes(name: str) -> list[str]:
    """The modules that hold a parameter: of ``a.b.weight`` ``a.b`` and ``a``."""
    parts = name.split('.')
    return ['.'.join(parts[:i]) for i in range(1, len(parts))]
