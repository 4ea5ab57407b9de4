"""What the members of detectors find: beside the truth and the teacher, on which classes, and how sure they are."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..engine import MemberPredictor
from .agreement import BOTH, MISSED, OURS, THEIRS, shares
from .calibration import draw_reliability
from .figures import COLORS, FONT, MARKERS, Figure, Missing, Part, legend_columns, sheet, tidy, where_differs
from .rebuilt import Rebuilt, voices
from .scenes import OVERLAP, SCORE, Boxes, Scene, annotated, confident, draw_scenes, original, overlapping

LOWEST = 0.05
"""Detections of a lower score are not asked whether they are right."""
SCENES, COLUMNS, CLASSES = 4, 5, 14


def detections(runs: Sequence[Rebuilt], number: int) -> list[Part]:
    """Objects found by the members, by class, their confidence, and the pictures in which they differ most.

    Args:
        runs (sequence of Rebuilt): Runs that were validated on the same pictures.
        number (int): At most how many pictures to ask of.
    """
    positions = runs[0].positions(number)
    truths = [annotated(runs[0].dataset.get_data_info(place)) for place in positions]
    answers, beside = find(runs, positions), {voice.title: voice.teacher for voice in voices(runs)}
    if not sum(len(truth.labels) for truth in truths):
        return [Missing('Objects', 'No object is annotated in these pictures.')]
    sure = {title: [boxes.surer(SCORE) for boxes in own] for title, own in answers.items()}
    hits = {title: [_hit(truth, own) for truth, own in zip(truths, boxes)] for title, boxes in sure.items()}
    counts = {
        t: _beside(np.concatenate(hits[t]), np.concatenate(hits[theirs])) for t, theirs in beside.items() if theirs
    }
    figures: list[Part] = [shares(counts, 'annotated objects')] if counts else []
    figures.append(_by_class(truths, hits, sure, runs[0].classes))
    figures.append(draw_reliability({t: _rightness(truths, own) for t, own in answers.items()}, 'boxes'))
    figures.append(_scenes(runs[0], positions, truths, sure, hits, beside))
    return figures


@torch.no_grad()
def find(runs: Sequence[Rebuilt], positions: Sequence[int]) -> dict[str, list[Boxes]]:
    """The boxes of :data:`LOWEST` score or more that each member finds in every picture, by the member's title."""
    found: dict[str, list[Boxes]] = {}
    for title, run, member, _ in voices(runs):
        predictor = MemberPredictor(run.model, member)
        samples = [sample for batch in run.batches(positions) for sample in predictor.val_step(batch)]
        found[title] = [confident(sample.pred_instances, LOWEST) for sample in samples]
    return found


def _hit(truth: Boxes, found: Boxes) -> np.ndarray:
    """Which annotated objects are found, shape (K,)."""
    pairs = zip(truth.places, truth.labels)
    return np.array([overlapping(place, label, found).any() for place, label in pairs], bool)


def _beside(mine: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    parts = {BOTH: mine & theirs, OURS: mine & ~theirs, THEIRS: ~mine & theirs, MISSED: ~mine & ~theirs}
    return {name: int(part.sum()) for name, part in parts.items()}


def _rightness(truths: Sequence[Boxes], found: Sequence[Boxes]) -> tuple[Tensor, Tensor]:
    """Scores of all boxes, and whether they are right."""
    right = [
        bool(overlapping(place, label, truth).any())
        for truth, own in zip(truths, found)
        for place, label in zip(own.places, own.labels)
    ]
    return torch.from_numpy(np.concatenate([own.scores for own in found])), torch.tensor(right, dtype=torch.bool)


def _by_class(
    truths: Sequence[Boxes],
    hits: Mapping[str, list[np.ndarray]],
    sure: Mapping[str, list[Boxes]],
    classes: Sequence[str],
) -> Figure:
    """How many objects of a class each member finds; those first in which members differ most."""
    labels = np.concatenate([truth.labels for truth in truths])
    found = {title: np.concatenate(own) for title, own in hits.items()}
    there = np.unique(labels)
    shares = {title: [100 * own[labels == label].mean() for label in there] for title, own in found.items()}
    spread = np.ptp(np.array(list(shares.values())), axis=0)
    order = np.argsort(-spread, kind='stable')[:CLASSES]
    drawing, ((axes,),) = sheet(height=1.4 + 0.32 * len(order))
    for i, (title, own) in enumerate(shares.items()):
        shift = 0.14 * (i - (len(shares) - 1) / 2)  # members that find as many do not hide each other
        looks = dict(color=COLORS[i % len(COLORS)], marker=MARKERS[i % len(MARKERS)], linestyle='')
        axes.plot([own[k] for k in order], np.arange(len(order)) + shift, markersize=7, label=title, **looks)
    axes.set_yticks(range(len(order)), [classes[there[k]] for k in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(-3, 103)
    axes.set_xlabel('% of the objects of a class that are found')
    tidy(axes)
    drawing.legend(ncols=legend_columns(list(shares)), frameon=False, fontsize=FONT, loc='outside upper left')
    wrong = {title: sum(len(own.labels) for own in sure[title]) - _right_boxes(truths, sure[title]) for title in sure}
    rows = [
        (classes[there[k]], str(int((labels == there[k]).sum())), *(f'{own[k]:.0f}' for own in shares.values()))
        for k in order
    ]
    rows.append(('all', f'{len(labels):,}', *(f'{100 * own.mean():.1f}' for own in found.values())))
    rows.append(('wrong boxes', '', *(f'{number:,}' for number in wrong.values())))
    told = '; '.join(f'{title} {100 * own.mean():.1f} %, {wrong[title]:,} boxes wrong' for title, own in found.items())
    return Figure(
        'classes',
        'Objects found, by class',
        f'Of {len(labels):,} annotated objects are found: {told}.',
        drawing,
        ('class', 'objects', *(f'{title} %' for title in shares)),
        rows,
        f'An object is found by a box of its class, a score of {SCORE} or more, and an IoU of {OVERLAP} or more. The '
        'classes in which members differ most come first.',
    )


def _right_boxes(truths: Sequence[Boxes], found: Sequence[Boxes]) -> int:
    return int(_rightness(truths, found)[1].sum())


def _scenes(
    run: Rebuilt,
    positions: Sequence[int],
    truths: Sequence[Boxes],
    sure: Mapping[str, list[Boxes]],
    hits: Mapping[str, list[np.ndarray]],
    beside: Mapping[str, str | None],
) -> Figure:
    """The pictures in which the student finds otherwise than its teacher, or otherwise than was annotated."""
    student = next(title for title in hits if title.endswith('student'))
    teacher = beside[student]
    wanted = [np.ones(len(truth.labels), bool) for truth in truths] if teacher is None else hits[teacher]
    differing = [int((mine != theirs).sum()) for mine, theirs in zip(hits[student], wanted)]
    order = np.argsort([-number for number in differing], kind='stable')[:SCENES]
    titles = list(sure)[:COLUMNS]
    scenes = [Scene(original(run, positions[k]), truths[k], {title: sure[title][k] for title in titles}) for k in order]
    rows = []
    for k, scene in zip(order, scenes):
        cells = []
        for title in titles:
            wrong = len(scene.found[title].labels) - _right_boxes([scene.truth], [scene.found[title]])
            cells.append(f'{int(hits[title][k].sum())} found, {wrong} wrong')
        rows.append((str(positions[k]), str(len(scene.truth.labels)), *cells))
    told = '; '.join(f'{row[1]} objects, of which {", ".join(map(": ".join, zip(titles, row[2:])))}' for row in rows)
    return Figure(
        'detections',
        where_differs(student) if teacher else 'What is found',
        f'Pictures with the boxes of the truth and of {", ".join(titles)}: {told}.',
        draw_scenes(scenes, {title: title for title in titles}, run.classes),
        ('picture', 'objects', *titles),
        rows,
        f'Boxes of a score of {SCORE} or more; of several classes in one place the surest.',
    )
