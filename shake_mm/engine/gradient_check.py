"""Whether a stage can learn: the gradients of one of its terms must reach something that it trains."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import UsageError
from .dry_run import run_members
from .expand import select
from .stages import Stage
from .taps import TapName, listed
from .terms import Term

if TYPE_CHECKING:
    from .distiller import Distiller


def check_reached(model: 'Distiller', stage: Stage, sizes: dict[str, Sequence[int]]) -> None:
    """Refuse a stage none of whose terms teaches what it trains; PyTorch would fail in its first step.

    Args:
        model (Distiller): With its members and terms.
        stage (Stage): The stage.
        sizes (dict): Height and width of the images of a dry run, by member.

    Raises:
        UsageError: Naming the stage's terms and what it trains.
    """
    names = select(model._origins, stage.terms)
    trained = {name for name in model._trainable if stage.trains(name)}
    terms = [model.terms[name] for name in names]
    own = [f'{_part_of(model, term.of)}.' for term in terms if term.loss is None]
    own += [f'terms.{name}.' for name in names]
    if any(parameter.startswith(tuple(own)) for parameter in trained):
        return
    if not _tapped(model, [term for term in terms if term.loss is not None], trained, sizes):
        raise UsageError(
            f'stages: the gradients of the terms {", ".join(names)} reach nothing that the stage trains '
            f'(train={"everything" if stage.train is None else list(stage.train)}): name other terms or parts.'
        )


def _part_of(model: 'Distiller', member: str) -> str:
    """Under which name the distiller holds a member."""
    return member if member == 'student' else f'peers.{member}'


def _tapped(
    model: 'Distiller', terms: Sequence[Term], trained: Collection[str], sizes: dict[str, Sequence[int]]
) -> bool:
    """Whether a tap that learns depends on trained parameters, directly or through proxies and connectors."""
    waiting = [tap for term in terms for tap in listed(term.of)]
    taps = []
    while waiting:
        name = TapName.parse(text := waiting.pop())
        tap = f'{name.member}.{name.path}'
        if tap in model.sources:
            held = tap if tap.startswith('connectors.') else f'proxies.{name.member}'
            if any(parameter.startswith(f'{held}.') for parameter in trained):
                return True
            waiting.extend(listed(model.sources[tap]))
        elif name.member == 'student' or name.member in model.peers:
            taps.append(text)
    members = {TapName.parse(text).member for text in taps}
    networks = {name: network for name, network in model.networks.items() if name in members}
    learning = {name: [p for p in trained if p.startswith(f'{_part_of(model, name)}.')] for name in networks}
    if not any(learning.values()):
        return False

    def run(network: Any, inputs: Tensor) -> None:
        model.task.follow(network, model.task.run(network, inputs), model.taps)

    with model.taps.recording() as recorded:
        recorded.unknown = run_members(
            networks,
            run,
            sizes,
            {
                name: {p.removeprefix(f'{_part_of(model, name)}.') for p in parameters}
                for name, parameters in learning.items()
            },
        )
        try:
            # What the dry run does not know is given the benefit of the doubt.
            return any(value is None or _learns(value) for value in map(recorded.value, taps))
        except UsageError:
            return True
        finally:
            recorded.unknown = set()


def _learns(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_learns, value))
    return value is None or (isinstance(value, torch.Tensor) and value.requires_grad)
