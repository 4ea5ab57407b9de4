"""The optimizer of a distiller, in which the student's parameters have the settings of a plain run."""

import copy
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from torch import nn

from ..errors import UsageError
from .distiller import Distiller

NAMES = ('params', 'param_names', 'param_name', 'group_name')
"""Entries of a parameter group that say whose it is, not how it is trained."""


def build_student_optimizer(model: Distiller, config: Mapping[str, Any]) -> OptimWrapper | OptimWrapperDict:
    """Build the optimizer of a distillation from the config of the student's plain training.

    Constructors of optimizers choose learning rates and weight decays by the names of parameters: layer decay asks what
    stands in ``backbone.``. They are shown the student's parameters under the names that these have in a plain run, and
    beside them the distiller's other parts (``proxies``, ``peers``, ``connectors``, ``terms``) under theirs. Only where
    ``custom_keys`` names the ``student`` they are shown the distiller as it is.

    Args:
        model (Distiller): Without its wrapper.
        config (dict): The run's ``optim_wrapper``.

    Returns:
        OptimWrapper | OptimWrapperDict: Of all parts.

    Raises:
        UsageError: If the student's parameters would get other settings than in a plain run, or the constructor does
            not know such networks.
    """
    keys = (config.get('paramwise_cfg') or {}).get('custom_keys') or {}
    addressed = any(key.split('.')[0] == 'student' for key in keys)
    wrapper = _built(model if addressed else with_plain_names(model), config)
    if isinstance(wrapper, OptimWrapperDict):  # of a constructor that gives each part its own
        return wrapper
    with _silence():
        plain = _built(model.student, _without_prefix(config) if addressed else config)
    _compare(model, wrapper, plain)
    return wrapper


def with_plain_names(model: Distiller) -> nn.Module:
    """The student, beside whose parts stand those of its distiller; nothing is copied.

    Args:
        model (Distiller): Without its wrapper.

    Raises:
        UsageError: If the student has a part of the same name as the distiller.
    """
    student = model.student
    own = dict(student._modules)
    others = {name: part for name, part in model._modules.items() if part is not student and part is not own.get(name)}
    for name in others:
        if name in own and list(others[name].parameters()):
            raise UsageError(f'student: it has a part called {name}, as its distiller has: rename it.')
    shown = copy.copy(student)
    shown.__dict__ = {**student.__dict__, '_modules': {**own, **others}}
    return shown


def settings_of(wrapper: OptimWrapper, network: nn.Module) -> dict[str, dict[str, Any]]:
    """How an optimizer trains each parameter of a network; those that it does not hold are left out.

    Args:
        wrapper (OptimWrapper): Holding the optimizer.
        network (nn.Module): Whose parameters are asked for.

    Returns:
        dict[str, dict]: Learning rate, weight decay and so on, by the parameters' names.
    """
    by_parameter = {
        id(parameter): {key: value for key, value in group.items() if key not in NAMES}
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    return {name: by_parameter[id(p)] for name, p in network.named_parameters() if id(p) in by_parameter}


def _built(network: nn.Module, config: Mapping[str, Any]) -> OptimWrapper:
    try:
        return build_optim_wrapper(network, config)
    except NotImplementedError as error:
        reason = ' '.join(str(error).split()) or f'it knows no {type(network).__name__} of this kind'
        raise UsageError(
            f'optim_wrapper.constructor: {config.get("constructor")} does not fit the student ({reason}): take another.'
        ) from error


def _without_prefix(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the plain run that means the same."""
    paramwise = dict(config['paramwise_cfg'])
    keys = paramwise['custom_keys'].items()
    paramwise['custom_keys'] = {'' if key == 'student' else key.removeprefix('student.'): value for key, value in keys}
    return {**config, 'paramwise_cfg': paramwise}


def _compare(model: Distiller, wrapper: OptimWrapper, plain: OptimWrapper) -> None:
    """Refuse settings of the student's parameters that are not those of a plain run."""
    mine, wanted = settings_of(wrapper, model.student), settings_of(plain, model.student)
    for name in wanted.keys() | mine.keys():
        if mine.get(name) != wanted.get(name):
            keys = {key for key in {**mine.get(name, {}), **wanted.get(name, {})} if _differ(key, mine, wanted, name)}
            here, plainly = (_told(found.get(name), sorted(keys)) for found in (mine, wanted))
            raise UsageError(
                f'optim_wrapper: student.{name} has {here} here and {plainly} in a plain run of the student, as the '
                'constructor reads what differs between the two: take another, or write custom_keys as for that run.'
            )


def _differ(key: str, mine: Mapping[str, dict], wanted: Mapping[str, dict], name: str) -> bool:
    return mine.get(name, {}).get(key) != wanted.get(name, {}).get(key)


def _told(settings: Mapping[str, Any] | None, keys: list[str]) -> str:
    return 'no optimizer' if settings is None else ', '.join(f'{key}={settings.get(key)}' for key in keys)


@contextmanager
def _silence() -> Iterator[None]:
    """Let constructors tell their settings once, not twice."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
