"""Which members, beside the student, the run's own metrics can measure."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from mmengine.logging import print_log
from torch import nn

from ..errors import UsageError
from ..explain import reason
from ..utils import unwrap_model
from .distiller import Distiller
from .evaluation import MemberPredictor, others_of


def measurable(
    model: nn.Module,
    wanted: Sequence[str] | None,
    classes: Sequence[str] | None,
    batch: Callable[[], Any],
) -> list[str]:
    """The members that the run's metrics are to measure, and can: of the student's classes, and able to predict.

    Args:
        model (nn.Module): The run's model, a :class:`Distiller`, perhaps in a distributed wrapper.
        wanted (sequence of str, optional): Their names, or patterns of names. Defaults to the frozen teachers
            where nothing else compares members, of which those that cannot be measured are left out, as the log says.
        classes (sequence of str, optional): Names of the classes of the evaluated data.
        batch (callable): Reads a batch of these data, for every member to predict once.

    Raises:
        UsageError: If a wanted member does not exist, or cannot be measured.
    """
    distiller: Distiller = unwrap_model(model)
    if wanted is None:
        names = list(distiller.members.frozen) if distiller.members.task.measured_by == 'metrics' else []
    else:
        names = matching(distiller, wanted)
    chosen = []
    for name in names:
        problem = _problem(model, distiller, name, classes, batch)
        if problem is None:
            chosen.append(name)
        elif wanted is None:
            print_log(f'{name} is not measured in the validation: {problem}', 'current')
        else:
            raise UsageError(f'MemberEvalHook.measure: {name} cannot be measured: {problem}: leave it out.')
    return chosen


def matching(model: Distiller, wanted: Sequence[str]) -> list[str]:
    """The teachers and proxies that names, or patterns of names, stand for.

    Args:
        model (Distiller): Whose they are.
        wanted (sequence of str): Such as ``'teacher0'`` or ``'teacher*'``.

    Raises:
        UsageError: If a name, or a pattern, stands for none of them.
    """
    others = others_of(model)
    for name in wanted:
        if not any(fnmatchcase(other, name) for other in others):
            known = ', '.join(others) or 'these, of which there are none'
            raise UsageError(f"MemberEvalHook.measure: '{name}' is no teacher or proxy: name one of {known}.")
    return [other for other in others if any(fnmatchcase(other, name) for name in wanted)]


def _problem(
    model: nn.Module, distiller: Distiller, name: str, classes: Sequence[str] | None, batch: Callable[[], Any]
) -> str | None:
    members = distiller.members
    if name in members.networks:
        its, mine = members.number_of_classes(name), members.number_of_classes('student')
        if its != mine:
            return f'it knows {its} classes and the student {mine}'
    try:
        members.fit_classes(classes, 'the data', [name])
        if not _is_compiled(members.networks.get(name, members.student)):  # whose first shape is to be a training's
            _predict(model, distiller, name, batch())
    except Exception as error:  # whatever a network does that was never asked to predict
        return reason(error)
    return None


@torch.no_grad()
def _predict(model: nn.Module, distiller: Distiller, name: str, data: Any) -> None:
    modes = {layer: layer.training for layer in distiller.modules()}
    distiller.eval()
    try:
        MemberPredictor(model, name).val_step(data)
    finally:
        for layer, training in modes.items():
            layer.training = training


def _is_compiled(network: nn.Module) -> bool:
    return any(getattr(layer, '_compiled_call_impl', None) is not None for layer in network.modules())
