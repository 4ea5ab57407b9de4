"""Stages: which terms are active and which members are trained, and until when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from ..errors import UsageError
from ..validation import check_arguments, check_number

PARTS = ('student', 'peers', 'proxies', 'connectors', 'terms')
"""The parts of a distiller that hold parameters."""


@dataclass(frozen=True)
class Stage:
    """A span of epochs.

    Args:
        until (int, optional): The first epoch that does not belong to the stage. None for the last stage.
        terms (list[str], optional): Names of the active terms. Defaults to all.
        train (list[str], optional): Prefixes of the trained parameters, as ``state_dict`` names them
            (``'student'``, ``'peers.teacher0.head'``, ``'proxies'``). Defaults to all.
        reset_optimizer (bool): Whether the optimizer forgets its state (momentum) when the stage begins, as where a
            method's initialization ends and its training begins. Defaults to False.
    """

    until: int | None = None
    terms: Sequence[str] | None = None
    train: Sequence[str] | None = None
    reset_optimizer: bool = False

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
                f'stages: no parameter matches {wrong[0]!r} in train={prefixes}: name trained parts of '
                f'{", ".join(sorted({name.partition(".")[0] for name in trainable}))}.'
            )


_KEYS = tuple(field.name for field in fields(Stage))


def build_stages(configs: Sequence[dict] | None) -> tuple[Stage, ...]:
    """Stages from their config; without one, a single stage trains everything on all terms."""
    if configs is not None and not (isinstance(configs, (list, tuple)) and all(isinstance(c, dict) for c in configs)):
        raise UsageError(f'stages must be a list of dicts with {_KEYS}, but it is {configs}.')
    for key in (key for config in configs or () for key in config):
        if key not in _KEYS:
            raise UsageError(f"stages: unknown key '{key}', a stage has {', '.join(_KEYS)}.")
    for config in configs or ():
        check_arguments(Stage, config, 'stages')
        if config.get('until') is not None:
            check_number('stages: until', config['until'], least=1)
        for key in ('terms', 'train'):
            _check_names(key, config.get(key))
    stages = tuple(Stage(**config) for config in configs or [{}])
    ends = [stage.until for stage in stages]
    if ends[-1] is not None or any(end is None for end in ends[:-1]) or ends[:-1] != sorted(set(ends[:-1])):
        raise UsageError(f'stages: `until` must increase and be left out of the last stage, but it reads {ends}.')
    return stages


def _check_names(key: str, names: Any) -> None:
    several = isinstance(names, Sequence) and not isinstance(names, str) and len(names) > 0
    if names is not None and not (several and all(isinstance(name, str) for name in names)):
        raise UsageError(f'stages: {key}={names!r} must be a list of names, or be left out, which means all.')


def stage_at(stages: Sequence[Stage], epoch: int) -> int:
    """Index of the stage that ``epoch`` (counted from 0) belongs to."""
    return next(i for i, stage in enumerate(stages) if stage.until is None or epoch < stage.until)


def begins_at(stages: Sequence[Stage], index: int) -> int:
    """First epoch (counted from 0) of the stage ``index``."""
    return stages[index - 1].until if index else 0


def set_trained(model: nn.Module, stage: Stage, trainable: Iterable[str]) -> list[str]:
    """Let exactly the parameters of ``stage`` ask for gradients.

    Gradients left over from an earlier stage are dropped: an optimizer skips a parameter without gradient, so that
    neither momentum nor weight decay moves what the stage does not train.

    Args:
        model (nn.Module): The distiller.
        stage (Stage): The stage that begins.
        trainable (iterable of str): Parameters that asked for gradients when the model was built.

    Returns:
        list[str]: Names of the trained parameters.
    """
    allowed = set(trainable)
    trained = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in allowed and stage.trains(name))
        if parameter.requires_grad:
            trained.append(name)
        else:
            parameter.grad = None
    if not trained:
        raise UsageError(f'stages: no parameter matches train={list(stage.train or [])}.')
    return trained
