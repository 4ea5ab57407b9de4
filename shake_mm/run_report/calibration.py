"""Whether members are as often right as they are sure."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .answers import Asked
from .figures import COLORS, DASHES, GRAY, Figure, name_ends, sheet, tidy

BINS = 10
FEW, SHARE = 5, 0.01
"""Bins that hold fewer answers, or a smaller share of them, are drawn as hollow dots, as chance rules there."""


class Reliability(NamedTuple):
    """Answers by how sure they are.

    Args:
        sure (list[float]): Mean confidence in every bin that holds answers.
        right (list[float]): How many of them are right, 0 to 1.
        counts (list[int]): How many answers they hold.
        error (float): The expected calibration error.
    """

    sure: list[float]
    right: list[float]
    counts: list[int]
    error: float


def reliability(confidence: Tensor, right: Tensor, bins: int = BINS) -> Reliability:
    r"""Sort answers into bins of equal width (Guo et al., ICML 2017).

    .. math::
        \mathrm{ECE} = \sum_b \frac{|B_b|}{N} |\mathrm{acc}(B_b) - \mathrm{conf}(B_b)|

    Args:
        confidence (Tensor): From 0 to 1, shape (N,).
        right (Tensor): Whether the answers are right, shape (N,).
        bins (int): How many. Defaults to 10.
    """
    confidence, right = confidence.double(), right.double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1  # a bin holds its upper edge
    counts = torch.bincount(place, minlength=bins)
    sure, hit = (torch.bincount(place, weights=values, minlength=bins) for values in (confidence, right))
    error = float((sure - hit).abs().sum() / max(len(confidence), 1))
    held = counts > 0
    return Reliability(
        (sure[held] / counts[held]).tolist(), (hit[held] / counts[held]).tolist(), counts[held].tolist(), error
    )


def calibration(asked: Asked) -> Figure:
    """The reliability of classifiers' most probable classes."""
    members = {a.title: (a.confidence, a.says == asked.labels) for a in asked.answers}
    losses = {a.title: f'{F.cross_entropy(a.logits, asked.labels):.3f}' for a in asked.answers}
    return draw_reliability(members, 'pictures', ('cross-entropy', losses))


def draw_reliability(
    members: Mapping[str, tuple[Tensor, Tensor]], what: str, more: tuple[str, Mapping[str, str]] | None = None
) -> Figure:
    """A line for each member: how often it is right, over how sure it is.

    Args:
        members (dict): By title, confidences and whether they are right, shape (N,) each.
        what (str): Of what, in plural.
        more (tuple, optional): Head and cells of one more column of the table.
    """
    drawing, ((axes,), (below,)) = sheet(2, 1, height=5.2, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=(0, (1, 2)))
    ends, rows = {'as sure as right': (1.0, GRAY)}, []
    for i, (title, (confidence, right)) in enumerate(members.items()):
        color, dash = COLORS[i % len(COLORS)], DASHES[i % len(DASHES)]
        found = reliability(confidence, right)
        if found.counts:
            known = [j for j, count in enumerate(found.counts) if count >= max(FEW, SHARE * len(right))]
            axes.plot([found.sure[j] for j in known], [found.right[j] for j in known], color=color, linestyle=dash)
            sizes = [12 + 60 * count / len(right) for count in found.counts]
            faces = [color if j in known else 'white' for j in range(len(found.counts))]
            axes.scatter(found.sure, found.right, sizes, color=faces, edgecolors=color, zorder=3)
            ends[f'{title}: ECE {100 * found.error:.1f} %'] = (found.right[known[-1]] if known else 0.0, color)
            edges = torch.histogram(confidence.double().cpu(), BINS, range=(0.0, 1.0)).hist / len(confidence)
            below.stairs(100 * edges, [j / BINS for j in range(BINS + 1)], color=color, linestyle=dash)
        means = [f'{100 * float(values.double().mean()):.1f}' if len(values) else '–' for values in (right, confidence)]
        rows.append((title, f'{100 * found.error:.2f}', *means, *([more[1][title]] if more else []), f'{len(right):,}'))
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel('right')
    below.set_ylabel('% of all')
    below.set_xlabel('confidence')
    for part in (axes, below):
        tidy(part)
    name_ends(axes, ends)
    told = '; '.join(
        f'{row[0]} has an ECE of {row[1]} %, is right in {row[2]} % and sure to {row[3]} %' for row in rows
    )
    return Figure(
        'calibration',
        'Calibration',
        f'How often members are right over how sure they are: {told}.',
        drawing,
        ('member', 'ECE %', 'right %', 'mean confidence %', *([more[0]] if more else []), what),
        rows,
        f'ECE: expected calibration error over {BINS} bins of equal width. Below the dotted line a member is surer '
        'than it is right. A dot is the larger, the more answers it stands for, and hollow where these are few.',
    )
