"""Shares of the terms in the gradient that reaches the student's trunk, measured in one training step."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..compat.torch_names import autocast_off, get_gradient_edge, tree_leaves
from ..errors import UsageError
from ..taps import TapName, listed
from .distiller import Distiller
from .terms import Term


class Shares(NamedTuple):
    """How the gradient at one place of the student is made up.

    Args:
        place (str): The layer, as in taps: ``'student.neck'``.
        norms (dict[str, float]): The norm of each part's gradient there, over the whole batch and all outputs of the
            layer. Parts whose gradient never arrives are left out.
    """

    place: str
    norms: dict[str, float]

    @property
    def shares(self) -> dict[str, float]:
        """Each norm over the sum of all: between 0 and 1, and 1 together."""
        total = sum(self.norms.values())
        return {name: norm / total if total > 0 else 0.0 for name, norm in self.norms.items()}


class ShareMeter:
    """Measures in the next training step, until it is closed.

    For each part of the loss there is one backward pass of its own, from the loss to the output of the student's trunk
    (its neck, or its backbone) and no further: parameters get no gradient from it, so that nothing is reduced between
    processes, and the step's own backward pass follows on the same graph. Values, statistics of normalization and
    generators are as without it.

    Where a term reads a layer inside the trunk, as hints do, its gradient does not pass the trunk's output. All parts
    are then measured at the last layer before that where all of them arrive.

    The model's own losses of the step are what is measured, so that weights that warm up, or are made anew in every
    step, count as they stand. Under autocast gradients are those of half precision, scaled by ``scale``.

    Args:
        model (Distiller): In a stage.
        by_term (bool): Whether parts are terms; else every named loss is one, so that a detector's boxes stand beside
            its classes. Defaults to True.
        places (sequence of str, optional): Layers of the student to measure at, one after the other, in the place of
            the trunk's output.
        scale (float): What losses are multiplied by, so that gradients in half precision do not vanish.

    What fails while it measures, as for want of memory, is kept as :attr:`error` and does not disturb the step.

    Raises:
        UsageError: If the student cannot be measured; the message says why.
    """

    def __init__(self, model: Distiller, by_term: bool = True, places: Sequence[str] = (), scale: float = 1.0) -> None:
        assert model.plan is not None, 'no stage has begun'
        if any(getattr(module, '_compiled_call_impl', None) is not None for module in model.student.modules()):
            raise UsageError('gradients inside of a compiled student cannot be measured: leave `compile` out.')
        self.model, self.scale = model, scale
        self.terms: list[Term] = [model.terms[name] for name in model.plan.terms]
        self.by_term, self.chosen = by_term, tuple(places)
        self.found: list[Shares] = []
        self.error: RuntimeError | None = None
        self._ends = self.chosen or (trunk_end(model),)
        self._edges: dict[str, list[Any]] = {}
        self._handles = [self._watch(model.student, name) for name in dict.fromkeys((*self._inner(), *self._ends))]
        self._handles.append(model.register_forward_hook(self._measure))

    def close(self) -> None:
        """Take the hooks away: later steps run as they did before."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._edges = [], {}

    def _inner(self) -> list[str]:
        """Layers of the student that terms read, as far as they may lie inside the trunk."""
        if self.chosen:
            return []
        read = self.model.objective.trace(tap for term in self.terms if term.loss for tap in listed(term.of))
        layers = [TapName.parse(layer) for tap in read.taps for layer in self.model.taps.layers(tap)]
        return [
            f'{at.path}:input' if at.side.startswith(':input') else at.path for at in layers if at.member == 'student'
        ]

    def _watch(self, student: nn.Module, place: str) -> Any:
        path, _, side = place.partition(':')
        layer = student.get_submodule(path)

        def before(module: nn.Module, args: tuple) -> None:
            self._note(place, args)

        def after(module: nn.Module, args: tuple, output: Any) -> None:
            self._note(place, output)

        return layer.register_forward_pre_hook(before) if side else layer.register_forward_hook(after, prepend=True)

    def _note(self, place: str, values: Any) -> None:
        """Keep where in the graph a layer's tensors are now: one in place behind it may put others there."""
        found = [get_gradient_edge(t) for t in tree_leaves(values) if isinstance(t, Tensor) and t.grad_fn is not None]
        self._edges.setdefault(place, []).extend(found)

    def _measure(self, module: nn.Module, args: tuple, output: Any) -> None:
        if not module.training or not isinstance(output, dict) or not any(self._edges.get(end) for end in self._ends):
            return
        places = self._places()
        device_type = next(module.parameters()).device.type
        try:
            with autocast_off(device_type):
                norms = gradient_norms(self._parts(output), list(places.values()), self.scale)
            self.found = self._read(list(places), norms)
        except RuntimeError as error:  # short of memory, or of a layer that goes back but once: training goes on
            self.error = error
        self._edges = {}

    def _places(self) -> dict[str, list[Any]]:
        """Where gradients are measured: the trunk's output last, before it what terms read inside, in their order."""
        if self.chosen:
            return {place: self._edges.get(place, []) for place in self.chosen}
        names = list(self._edges)
        return {name: self._edges[name] for name in names[: names.index(self._ends[0]) + 1] if self._edges[name]}

    def _parts(self, losses: Mapping[str, Any]) -> dict[str, Tensor]:
        """The summands of the objective, by term or by name."""
        parts: dict[str, Tensor] = {}
        for key, value in losses.items():
            owner = next((term.name for term in self.terms if term.makes(key)), None)
            if 'loss' not in key or owner is None:
                continue
            value = sum(tensor.mean() for tensor in tree_leaves(value))
            name = owner if self.by_term else key
            parts[name] = parts[name] + value if name in parts else value
        return {name: value for name, value in parts.items() if isinstance(value, Tensor) and value.requires_grad}

    def _read(self, places: list[str], norms: Mapping[str, list[Tensor | None]]) -> list[Shares]:
        """One reading from the device: at every place that was asked for, or at the last that all parts reach."""
        arriving = {name: own for name, own in norms.items() if any(norm is not None for norm in own)}
        wanted = range(len(places))
        if not self.chosen:
            last = max((i for i in wanted if all(own[i] is not None for own in arriving.values())), default=-1)
            wanted = wanted[last:][:1]
        found = []
        for i in wanted:
            here = {name: norm for name, own in arriving.items() if (norm := own[i]) is not None}
            values = torch.stack([norm.double() for norm in here.values()]).tolist() if here else []
            found.append(Shares(f'student.{places[i]}', {n: v / self.scale for n, v in zip(here, values)}))
        return found


def gradient_norms(
    parts: Mapping[str, Tensor], places: Sequence[Sequence[Any]], scale: float = 1.0
) -> dict[str, list[Tensor | None]]:
    """Norms of the gradients of losses at some places of the graph that they were computed by, which stays.

    Args:
        parts (dict[str, Tensor]): Scalars.
        places (sequence): For each place its tensors, or edges of the graph.
        scale (float): Factor of the gradients.

    Returns:
        dict[str, list[Tensor | None]]: For each loss and place the norm over all tensors of the place, at least in
        float32; None where the loss does not depend on any.
    """
    flat = [edge for edges in places for edge in edges]
    found: dict[str, list[Tensor | None]] = {}
    for name, loss in parts.items():
        gradients = iter(
            torch.autograd.grad(loss, flat, torch.full_like(loss, scale), retain_graph=True, allow_unused=True)
        )
        found[name] = [norm_of(next(gradients) for _ in edges) for edges in places]
    return found


def norm_of(gradients: Iterable[Tensor | None]) -> Tensor | None:
    """The norm of gradients as if they were one vector; None where there is none."""
    norms = [torch.linalg.vector_norm(g.float() if g.element_size() < 4 else g) for g in gradients if g is not None]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else None


def trunk_end(model: Distiller) -> str:
    """The layer of a distiller's student whose output all that is behind the trunk reads.

    Raises:
        UsageError: If there is no such layer.
    """
    place = model.task.trunk_end(model.student)
    if not place:
        raise UsageError(
            f'where the trunk of a {type(model.student).__name__} ends is not known, so that no gradients are measured.'
        )
    return place
