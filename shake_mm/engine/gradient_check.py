"""Whether a stage can learn: the gradients of one of its terms must reach something that it trains."""

from collections.abc import Collection, Sequence
from typing import Any

import torch

from ..errors import UsageError
from ..members import Members
from ..taps import TapName, listed
from .dry_run import run_members
from .objective import Objective
from .stages import Stage


def check_gradients(
    members: Members,
    objective: Objective,
    stage: Stage,
    trainable: Collection[str],
    input_size: int | Sequence[int] | None = None,
) -> None:
    """Refuse a stage none of whose terms teaches what it trains; PyTorch would fail in its first step.

    Args:
        members (Members): The networks.
        objective (Objective): With its terms and taps.
        stage (Stage): The stage.
        trainable (collection of str): The parameters that can be trained, as ``state_dict`` names them.
        input_size (int | tuple[int, int], optional): Height and width of the images of the dry run.

    Raises:
        UsageError: Naming the stage's terms and what it trains.
    """
    names = objective.select(stage.terms)
    trained = {name for name in trainable if stage.trains(name)}
    terms = [objective.terms[name] for name in names]
    own = [f'{members.part_of(term.of)}.' for term in terms if term.loss is None]
    own += [f'terms.{name}.' for name in names]
    found = objective.trace(tap for term in terms if term.loss is not None for tap in listed(term.of))
    own += [f'{entry.part}.' for entry in found.derived]
    if any(parameter.startswith(tuple(own)) for parameter in trained):
        return
    if not _arrives(members, objective, found.taps, trained, input_size):
        raise UsageError(
            f'stages: the gradients of the terms {", ".join(names)} reach nothing that the stage trains '
            f'(train={"everything" if stage.train is None else list(stage.train)}): name other terms or parts.'
        )


def _arrives(
    members: Members,
    objective: Objective,
    read: Sequence[str],
    trained: Collection[str],
    input_size: int | Sequence[int] | None,
) -> bool:
    """Whether a tap of a network that learns depends on trained parameters of it."""
    learners = members.learners
    texts = [text for text in read if TapName.parse(text).member in learners]
    networks = {name: net for name, net in learners.items() if name in {TapName.parse(text).member for text in texts}}
    learning = {name: _own(trained, f'{members.part_of(name)}.') for name in networks}
    if not any(learning.values()):
        return False

    with objective.taps.recording() as taps:
        run, channels = members.dry_pass(taps), members.task.channels
        taps.unknown = run_members(networks, run, members.image_sizes(input_size), channels, learning)
        try:
            # What the dry run does not know is given the benefit of the doubt.
            return any(value is None or _learns(value) for value in map(taps.value, texts))
        except UsageError:
            return True
        finally:
            taps.unknown = set()


def _own(parameters: Collection[str], prefix: str) -> set[str]:
    return {name.removeprefix(prefix) for name in parameters if name.startswith(prefix)}


def _learns(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_learns, value))
    if isinstance(value, dict):
        return any(map(_learns, value.values()))
    return value is None or (isinstance(value, torch.Tensor) and value.requires_grad)
