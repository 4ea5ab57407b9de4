"""Class activation maps: where in a picture a member sees a class (Selvaraju et al., Grad-CAM, ICCV 2017).

The paper's Figure 6 shows them of student, shadow and teacher. A dozen lines of torch take the place of a package whose
requirements would replace parts of the stack.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..engine import Distiller
from ..errors import UsageError
from .agreement import worst_pictures
from .answers import Answer, Asked
from .figures import FONT, WIDTH, Figure, Missing, Part, sheet

PICTURES, COLUMNS = 4, 6
TOKENS = (0, 1, 2)
"""How many tokens a transformer may have beside those of places: for the class, and for a teacher."""


def class_activation(
    network: Callable[[Tensor], Tensor], layers: Iterable[nn.Module], inputs: Tensor, classes: Tensor
) -> Tensor:
    r"""Weigh the channels of the last map of a pass by what they do for a class.

    .. math::
        M = \mathrm{ReLU}\Big(\sum_c A_c \cdot \frac{1}{HW} \sum_{hw} \frac{\partial z_y}{\partial A_{chw}}\Big)

    Args:
        network (callable): Gives logits (N, K) of images.
        layers (iterable of nn.Module): The layers that it runs, one of which makes the map: of those that change a
            class and have places, (N, C, H, W) or tokens (N, L, C), the one that runs last.
        inputs (Tensor): Images, shape (N, C, H, W).
        classes (Tensor): The class of each, shape (N,).

    Returns:
        Tensor: Maps of the images' size, from 0 to 1, shape (N, H, W).

    Raises:
        UsageError: If no layer has places, or the logits' gradient reaches none that has.
    """
    maps: list[Tensor] = []

    def note(layer: nn.Module, args: tuple, output: Any) -> None:
        if isinstance(output, Tensor) and output.requires_grad and _grid(output) is not None:
            maps.append(output)

    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        with torch.enable_grad():
            logits = network(inputs.detach().clone().requires_grad_())
    finally:
        for handle in handles:
            handle.remove()
    score = logits.gather(1, classes.to(logits.device)[:, None]).sum()
    slopes = torch.autograd.grad(score, maps, allow_unused=True) if maps and score.requires_grad else ()
    for values, slope in reversed(list(zip(maps, slopes))):
        grid, steep = _grid(values), None if slope is None else _grid(slope)
        if grid is not None and steep is not None and bool(steep.any()):
            found = (grid * steep.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu().detach().float()
            found = F.interpolate(found, size=inputs.shape[-2:], mode='bilinear', align_corners=False)[:, 0]
            return (found / found.amax((1, 2), keepdim=True).clamp(min=1e-12)).cpu()
    raise UsageError('its logits have no gradient at a layer with places')


def _grid(values: Tensor) -> Tensor | None:
    """Values by place, (N, C, H, W); None of what has no places."""
    if values.ndim == 4:
        return values if values.shape[2] * values.shape[3] > 1 else None
    if values.ndim != 3:
        return None
    for extra in TOKENS:
        side = math.isqrt(max(values.shape[1] - extra, 0))
        if side > 1 and side * side == values.shape[1] - extra:
            return values[:, extra:].transpose(1, 2).unflatten(2, (side, side))
    return None


class MemberLogits:
    """A member as a function of the student's batch, through which gradients pass, also of frozen ones.

    Args:
        model (Distiller): Whose member it is.
        member (str): Its name.
    """

    def __init__(self, model: Distiller, member: str) -> None:
        self.model, self.member = model, member

    @property
    def needed(self) -> set[str]:
        """The networks that must run for its logits, by name."""
        objective = self.model.objective
        return objective.trace_proxies([self.member]).members if self.member in objective.proxies else {self.member}

    @property
    def layers(self) -> list[nn.Module]:
        """All layers that may run for its logits."""
        networks = self.model.members.networks
        modules = [networks[name] for name in self.needed]
        modules += [self.model.objective.proxies[self.member]] if self.member in self.model.objective.proxies else []
        return [layer for module in modules for layer in module.modules()]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits (N, K) of preprocessed images (N, C, H, W)."""
        members, objective, tap = self.model.members, self.model.objective, f'{self.member}.logits'
        objective.taps.request(tap)
        with objective.taps.recording() as taps, _attached(objective.proxies):
            for name in sorted(self.needed):
                frozen = members.frozen.get(name)
                view = members.view(name, inputs, None) if frozen is None else frozen.view(inputs)
                task = members.task_for(name)
                task.forward_head(members.networks[name], task.forward_view(members.networks[name], view, None), taps)
            if self.member in objective.proxies:
                for entry in objective.trace_proxies([self.member]).derived:
                    entry.compute(taps)
            return taps.tensor(tap)


@contextmanager
def _attached(proxies: Any) -> Iterator[None]:
    """Let gradients through proxies that keep theirs to themselves in training."""
    cut = [proxy for proxy in proxies.values() if getattr(proxy, 'detach', None) is True]
    for proxy in cut:
        proxy.detach = False
    try:
        yield
    finally:
        for proxy in cut:
            proxy.detach = True


def activation(asked: Asked) -> list[Part]:
    """Maps of the members for the true class, side by side, of the pictures in which they differ most."""
    title = 'Where members see the class'
    ordered = [*asked.of('teacher'), *asked.of('student'), *asked.of('proxy')][:COLUMNS]
    student = asked.of('student')[0]
    places = worst_pictures(student, PICTURES) if student.teacher is not None else list(range(PICTURES))
    places = places[: len(asked.labels)]
    maps, lacking = {}, []
    for answer in ordered:
        try:
            maps[answer.title] = _maps(answer, asked, places)
        except UsageError as error:
            lacking.append(f'{answer.title} has no map: {error}.')
    if not maps:
        return [Missing(title, ' '.join(lacking))]
    return [_draw(asked, [answer for answer in ordered if answer.title in maps], maps, places, ' '.join(lacking))]


def _maps(answer: Answer, asked: Asked, places: Sequence[int]) -> Tensor:
    run = asked.runs[answer.run]
    (batch,) = run.batches([asked.positions[place] for place in places])
    inputs = run.model.data_preprocessor(batch, False)['inputs']
    member = MemberLogits(run.model, answer.member)
    return class_activation(member, member.layers, inputs, asked.labels[places])


def _draw(
    asked: Asked, answers: Sequence[Answer], maps: dict[str, Tensor], places: Sequence[int], lacking: str
) -> Figure:
    columns = 1 + len(answers)
    side = (WIDTH if columns <= 4 else 12) / max(columns, 4)
    drawing, grid = sheet(len(places), columns, width=side * columns, height=(side + 0.35) * len(places))
    reference = answers[0]
    rows = []
    for line, (panels, place) in enumerate(zip(grid, places)):
        picture, truth = asked.picture(place), asked.classes[asked.labels[place]]
        plain = picture if picture.ndim == 2 else picture.mean(2)
        panels[0].imshow(picture, cmap='gray', vmin=0, vmax=1, interpolation='nearest')
        panels[0].set_title(f'truth: {truth[:16]}', fontsize=FONT)
        cells = [str(asked.positions[place]), truth]
        for panel, answer in zip(panels[1:], answers):
            found = maps[answer.title][line].numpy()
            panel.imshow(plain, cmap='gray', vmin=0, vmax=1, interpolation='nearest')
            size = (-0.5, picture.shape[1] - 0.5, picture.shape[0] - 0.5, -0.5)
            panel.imshow(found, cmap='inferno', alpha=0.6, vmin=0, vmax=1, extent=size, interpolation='bilinear')
            said = asked.classes[answer.says[place]]
            panel.set_title(f'{answer.title}: {said[:12]}', fontsize=FONT)
            alike = _alike(found, maps[reference.title][line].numpy())
            cells.append(said if answer is reference else f'{said} ({alike})')
        for panel in panels:
            panel.set_xticks([])
            panel.set_yticks([])
        rows.append(tuple(cells))
    titles = [answer.title for answer in answers]
    compared = f'In brackets the correlation with the map of {reference.title}. ' if len(answers) > 1 else ''
    told = '; '.join(f'of {row[1]}: {", ".join(f"{t} says {c}" for t, c in zip(titles, row[2:]))}' for row in rows)
    return Figure(
        'activation',
        'Where members see the class',
        f'Maps of where {", ".join(titles)} see the true class, one picture a row, {told}.',
        drawing,
        ('picture', 'truth', *titles),
        rows,
        'Grad-CAM of the true class, whatever a member says, which stands above: bright is where it finds the class. '
        f'{compared}{lacking}'.strip(),
    )


def _alike(one: np.ndarray, other: np.ndarray) -> str:
    if one.std() < 1e-9 or other.std() < 1e-9:
        return '–'
    return f'{np.corrcoef(one.ravel(), other.ravel())[0, 1]:.2f}'
