"""The space in which members classify: what their last layers read, in two directions of the largest variance."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.patheffects import withStroke
from torch import Tensor

from .answers import Answer, Asked
from .figures import COLORS, FONT, WIDTH, Figure, Missing, Part, sheet

CLASSES, PANELS = 7, 6
APART = 0.15, 0.028
"""How far names stand apart, across and up, in fractions of a panel that is as wide as the picture."""


def principal(features: Tensor, number: int = 2) -> tuple[Tensor, float]:
    """Principal components.

    Args:
        features (Tensor): Shape (N, D).
        number (int): How many. Defaults to 2.

    Returns:
        tuple[Tensor, float]: The coordinates, shape (N, number), each axis with the sign that makes its largest entry
        positive, and their share of the variance, 0 to 1.
    """
    centered = features.double() - features.double().mean(0)
    u, s, _ = torch.linalg.svd(centered, full_matrices=False)
    axes = u[:, :number] * s[:number]
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    axes = torch.nn.functional.pad(axes, (0, number - axes.shape[1]))
    return axes, float((s[:number] ** 2).sum() / (s**2).sum().clamp(min=1e-30))


def separation(features: Tensor, labels: Tensor) -> float:
    """The share of the variance that lies between the means of the classes, 0 to 1.

    Args:
        features (Tensor): Shape (N, D).
        labels (Tensor): Shape (N,).
    """
    features = features.double()
    middle = features.mean(0)
    between = sum(
        float(((features[labels == own].mean(0) - middle) ** 2).sum() * (labels == own).sum())
        for own in labels.unique()
    )
    return between / max(float(((features - middle) ** 2).sum()), 1e-30)


def likeness(one: Tensor, other: Tensor) -> float:
    r"""Linear CKA of two members' features (Kornblith et al., ICML 2019): 1 where they agree up to a rotation.

    .. math::
        \frac{\|Y^\top X\|_F^2}{\|X^\top X\|_F \, \|Y^\top Y\|_F}

    Args:
        one (Tensor): Shape (N, D).
        other (Tensor): Shape (N, E), of the same pictures.
    """
    x, y = (values.double() - values.double().mean(0) for values in (one, other))
    scale = torch.linalg.norm(x.T @ x) * torch.linalg.norm(y.T @ y)
    return float(torch.linalg.norm(y.T @ x) ** 2 / scale.clamp(min=1e-30))


def features(asked: Asked) -> list[Part]:
    """Two principal components of each member's features, colored by class."""
    title = 'Features of the members'
    known = [answer for answer in asked.answers if answer.features is not None]
    own: list = []
    for answer in known:  # a shadow head reads what the student's head reads
        if not any(torch.equal(answer.features, other.features) for other in own):
            own.append(answer)
    if not own or len(asked.labels) < 3:
        return [Missing(title, 'No member ends in a linear layer whose input could be shown.')]
    drawn = own[:PANELS]
    columns = min(3, len(drawn))
    lines = -(-len(drawn) // columns)
    drawing, grid = sheet(lines, columns, height=WIDTH / columns * lines + 0.3)
    teacher = next((answer for answer in own if answer.member.startswith('teacher')), None)
    shown = _busiest(asked.labels)
    rows: list[tuple[str, ...]] = []
    for panel in grid.flat[len(drawn) :]:
        panel.set_axis_off()
    for panel, answer in zip(grid.flat, drawn):
        share = _draw(panel, answer, asked, shown, columns)
        alike = '–' if teacher is None else f'{likeness(answer.features, teacher.features):.2f}'
        apart = f'{100 * separation(answer.features, asked.labels):.0f}'
        rows.append((answer.title, str(answer.features.shape[1]), f'{100 * share:.0f}', apart, alike))
    shared = [answer.title for answer in known if answer not in drawn]
    about = f' Not drawn, as they read the same as another: {", ".join(shared)}.' if shared else ''
    told = '; '.join(f'{row[0]}: {row[3]} % of the variance between classes, CKA {row[4]}' for row in rows)
    return [
        Figure(
            'features',
            title,
            f'Two principal components of what the classifiers read. {told}.',
            drawing,
            ('member', 'dimensions', '% of variance drawn', '% between classes', 'CKA with the teacher'),
            rows,
            'Each member has axes of its own: compare how classes lie apart, not where. The classes with most pictures '
            f'are named, all others are gray.{about}',
        )
    ]


def _busiest(labels: Tensor) -> list[int]:
    found, counts = labels.unique(return_counts=True)
    order = torch.argsort(counts, descending=True, stable=True)[:CLASSES]
    return sorted(found[order].tolist())


def _draw(panel: Any, answer: Answer, asked: Asked, shown: Sequence[int], columns: int) -> float:
    points, share = principal(answer.features)
    rest = ~torch.isin(asked.labels, torch.tensor(shown))
    panel.scatter(*points[rest].T.numpy(), 6, color='#CCCCCC')
    low, high = points.min(0).values, points.max(0).values
    room = 0.06 * (high - low).clamp(min=1e-9)
    panel.set_xlim(float(low[0] - room[0]), float(high[0] + room[0]))
    panel.set_ylim(float(low[1] - room[1]), float(high[1] + room[1]))
    middles = {}
    for color, label in zip(COLORS, shown):
        mine = points[asked.labels == label]
        panel.scatter(*mine.T.numpy(), 12, color=color)
        middles[label] = panel.transLimits.transform(mine.median(0).values.numpy())
    for color, (label, place) in zip(COLORS, _spread(middles, columns).items()):
        panel.annotate(
            asked.classes[label][:14],
            place,
            xycoords='axes fraction',
            fontsize=FONT,
            color=color,
            weight='bold',
            ha='center',
            va='center',
            path_effects=[withStroke(linewidth=3, foreground='white')],
        )
    panel.set_title(answer.title, fontsize=10)
    panel.set_xticks([])
    panel.set_yticks([])
    return share


def _spread(places: Mapping[int, Any], columns: int = 1) -> dict[int, tuple[float, float]]:
    """Move names, at places in fractions of one of several panels, up where they would cover another one."""
    across, up = (columns * part for part in APART)
    moved: dict[int, tuple[float, float]] = {}
    for label, (x, y) in sorted(places.items(), key=lambda item: item[1][1]):
        x, y = min(max(float(x), across / 2), 1 - across / 2), float(y)
        while any(abs(x - other[0]) < across and abs(y - other[1]) < up - 1e-9 for other in moved.values()):
            y = min(o[1] for o in moved.values() if abs(x - o[0]) < across and o[1] > y - up + 1e-9) + up
        moved[label] = (x, y)
    return {label: moved[label] for label in places}
