"""The audit of a training step: gradients reach what the terms teach, and no proxy is the student renamed."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import UsageError
from ..taps import Derived, TapName, Taps, listed
from .distiller import Distiller
from .terms import Term
from .weighting import tensors


class StepAudit:
    """Looks at one training step of a distiller from the inside, until it is closed.

    It runs where the terms do, so that what it refuses ends the step before the optimizer moves anything:

    - what a term teaches (its ``of``) must require a gradient, unless nothing that it depends on is trained;
    - the logits of a proxy must depend on parameters that those of the student do not.

    The gradient of a term must also arrive there. Losses may be constant for some batches (no object in any image), so
    that this is not refused at once: :attr:`missing` has a sentence for each term that gave none.

    Args:
        model (Distiller): In a stage.
        warn (callable): Is told, in a sentence, of what is odd but may be meant.
    """

    def __init__(self, model: Distiller, warn: Callable[[str], Any]) -> None:
        assert model.plan is not None, 'no stage has begun'
        self.model, self.plan, self._warn = model, model.plan, warn
        self.missing: dict[str, str] = {}
        self._looked_at_networks = False
        self._handles: list[RemovableHandle] = []
        for name in self.plan.terms:
            term = model.terms[name]
            self._handles.append(term.register_forward_pre_hook(self._before))
            self._handles.append(term.register_forward_hook(self._after))

    def close(self) -> None:
        """Take the hooks away: later steps cost what they did before."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _before(self, term: Term, args: tuple) -> None:
        taps, own, _ = args
        if not self._looked_at_networks:
            self._looked_at_networks = True
            check_networks(self.model, taps, self._warn)
        if term.loss is None:
            values = [own[str(term.of)]] if _trains(self.model, [f'{term.of}.logits']) else []
            if values and not any(t.requires_grad for value in values for t in _losses(value)):
                raise UsageError(
                    f"terms.{term.name}: the losses of '{term.of}' carry no gradient to what is trained: leave the "
                    'term out of this stage, or train what its losses depend on.'
                )
        else:
            check_learner(self.model, term, taps, self._warn)

    def _after(self, term: Term, args: tuple, losses: dict[str, Tensor]) -> None:
        if term.loss is None:
            return
        learning = [t for tap in listed(term.of) for t in tensors(args[0].value(tap)) if t.requires_grad]
        self.missing.pop(term.name, None)
        if learning and not _arrives(_losses(losses), learning):
            self.missing[term.name] = (
                f'terms.{term.name}: its loss ({type(term.loss).__name__}) sends no gradient to {_told(term.of)}: it '
                'detaches what it is given or does not read it, correct it or leave the term out.'
            )


def check_learner(model: Distiller, term: Term, taps: Taps, warn: Callable[[str], Any]) -> None:
    """Refuse a term whose ``of`` requires no gradient, though what it depends on is trained in this stage.

    Args:
        model (Distiller): In a stage.
        term (Term): One that compares taps.
        taps (Taps): Of this step.
        warn (callable): Is told of terms and levels that teach nothing because nothing is trained that they could.

    Raises:
        UsageError: Naming the term, the tap and the mend.
    """
    names = listed(term.of)
    values = {name: tensors(taps.value(name)) for name in names}
    still = [name for name in names if not all(tensor.requires_grad for tensor in values[name])]
    if not still:
        return
    if not _trains(model, names):
        if not any(parameter.requires_grad for parameter in term.parameters()):
            warn(
                f'terms.{term.name} teaches nothing in this stage, which trains nothing that {_told(term.of)} depends '
                'on: leave the term out of it (`stages`), or train that.'
            )
        return
    for name in still:
        if not _is_before_all_trained(model, name):
            raise UsageError(
                f'terms.{term.name}: no gradient can pass through {name}, which is computed without one, as inside a '
                'checkpointed block: name the output of the block, or set with_cp=False (activation_checkpointing).'
            )
    told = f'terms.{term.name}: no layer up to {_told(still)} is trained (frozen_stages, or `train` of the stage)'
    if len(still) == len(names):
        raise UsageError(f'{told}, so that the term teaches the network nothing: name taps behind trained layers.')
    warn(f'{told}: there the term teaches its connector alone.')


def check_networks(model: Distiller, taps: Taps, warn: Callable[[str], Any]) -> None:
    """Refuse a proxy that is the student under another name, and warn of networks whose own parameters do not count.

    Args:
        model (Distiller): In a stage, in a training step whose proxies have run.
        taps (Taps): Of this step.
        warn (callable): Is told of what may be meant.

    Raises:
        UsageError: Naming the proxy and what to give instead.
    """
    assert model.plan is not None
    for entry in model.plan.derived:
        if entry.raw:
            _check_proxy(entry, taps, warn)
    for name, peer in model.members.peers.items():
        trained = [parameter for parameter in peer.parameters() if parameter.requires_grad]
        leaves = None if name not in model.plan.members else _leaves(_logits(taps, name))
        if trained and leaves is not None and leaves.isdisjoint(map(id, trained)):
            warn(f'{name} trains along, but its logits depend on none of the parameters that are trained of it.')


def _check_proxy(entry: Derived, taps: Taps, warn: Callable[[str], Any]) -> None:
    name = TapName.parse(entry.tap).member
    logits, student = tensors(taps.value(entry.tap)), _logits(taps, 'student')
    own = list(entry.module.parameters())
    if own and not any(parameter.requires_grad for parameter in own):
        return  # not in this stage
    leaves, others = _leaves(logits), _leaves(student)
    if leaves is None or others is None or not leaves.isdisjoint(map(id, own)) or leaves - others:
        return
    if len(logits) == len(student) and all(map(torch.equal, logits, student)):
        raise UsageError(
            f"{name}: its logits are the student's, as the head that it copies has no layers of its own (the backbone "
            "classifies): give proxies=dict(type='ShadowNetwork'), or a `head` with layers and the `source` it reads."
        )
    if student:
        warn(f"{name}: its logits depend on no parameter of its own, only on those of the student's logits.")


def _logits(taps: Taps, member: str) -> list[Tensor]:
    """A network's logits in this step; none where no term reads them."""
    try:
        return tensors(taps.value(f'{member}.logits'))
    except UsageError:
        return []


def _trains(model: Distiller, names: Iterable[str]) -> bool:
    """Whether anything that some taps depend on is trained in this stage."""
    found = model.objective.trace(names)
    parts: list[nn.Module] = [entry.module for entry in found.derived]
    parts += [network for name, network in model.members.learners.items() if name in found.members]
    return any(parameter.requires_grad for part in parts for parameter in part.parameters())


def _is_before_all_trained(model: Distiller, tap: str) -> bool:
    """Whether no layer of a network up to that of a tap is trained, in the order in which they are registered."""
    names = [TapName.parse(layer) for layer in model.taps.layers(tap)]
    networks = {**model.members.networks, **model.proxies}
    return all(name.member in networks and not _trained_up_to(networks[name.member], name) for name in names)


def _trained_up_to(network: nn.Module, tap: TapName) -> bool:
    inside = False
    for path, layer in network.named_modules():
        within = path == tap.path or path.startswith(f'{tap.path}.')
        if (inside and not within) or (within and tap.side):
            return False
        inside = within
        if any(parameter.requires_grad for parameter in layer.parameters(recurse=False)):
            return True
    return False


def _arrives(losses: list[Tensor], learning: list[Tensor]) -> bool:
    """Whether the gradient of one of the losses reaches one of the tensors."""
    for loss in losses:
        if loss.requires_grad:
            found = torch.autograd.grad(loss.sum(), learning, retain_graph=True, allow_unused=True)
            if any(gradient is not None for gradient in found):
                return True
    return False


def _losses(losses: dict[str, Any]) -> list[Tensor]:
    """What of a dict of losses counts towards the objective."""
    return [tensor for key, value in losses.items() if 'loss' in key for tensor in tensors(value)]


def _leaves(values: Iterable[Tensor]) -> set[int] | None:
    """Ids of the trained parameters that tensors depend on; None where a checkpointed block hides some."""
    waiting = [value.grad_fn for value in values]
    seen, found = set(waiting), set()
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if 'Checkpoint' in node.name():
            return None
        if hasattr(node, 'variable'):
            found.add(id(node.variable))
        fresh = {following for following, _ in node.next_functions} - seen
        seen |= fresh
        waiting.extend(fresh)
    return found


def _told(taps: str | Iterable[str]) -> str:
    return taps if isinstance(taps, str) else ', '.join(taps)
