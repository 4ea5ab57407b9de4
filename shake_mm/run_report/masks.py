"""What the members of segmentors say of pixels: beside the truth and the teacher, and how sure they are."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.patches import Patch
from torch import Tensor

from ..engine import MemberPredictor
from .agreement import ALIKE, APART, BOTH, OURS, THEIRS, shares
from .calibration import draw_reliability
from .figures import FONT, Figure, Missing, Part, sheet, where_differs
from .rebuilt import Rebuilt, voices
from .scenes import original

BATCH, PICTURES, COLUMNS, NAMED = 4, 4, 5, 12
PIXELS = 2000
"""Of a picture, as many pixels are asked how sure members are of them."""
IGNORED = 255


class Said(NamedTuple):
    """What a member says of a picture.

    Args:
        classes (ndarray): Shape (H, W).
        sure (Tensor): Its probabilities of them, shape (H, W).
    """

    classes: np.ndarray
    sure: Tensor


class Masked(NamedTuple):
    """A picture.

    Args:
        position (int): Its place in the validation set.
        truth (ndarray): The annotated classes, shape (H, W).
        said (dict[str, Said]): What members say, by title.
    """

    position: int
    truth: np.ndarray
    said: dict[str, Said]

    def differing(self, student: str, teacher: str | None) -> float:
        """The share of annotated pixels of which the student does not say what its teacher, or the truth, says."""
        known = self.truth != IGNORED
        wanted = self.truth if teacher is None else self.said[teacher].classes
        return float((self.said[student].classes != wanted)[known].mean()) if known.any() else 0.0


def masks(runs: Sequence[Rebuilt], number: int) -> list[Part]:
    """Pixels that members get right, their confidence, and the pictures in which they differ most.

    Args:
        runs (sequence of Rebuilt): Runs that were validated on the same pictures.
        number (int): At most how many pictures to ask of.
    """
    positions = runs[0].positions(number)
    counts: dict[str, dict[str, float]] = {}
    asked: dict[str, list[tuple[Tensor, Tensor]]] = {}
    kept: list[Masked] = []
    beside = {voice.title: voice.teacher for voice in voices(runs)}
    student = next(title for title in beside if title.endswith('student'))
    teacher = beside[student]
    for start in range(0, len(positions), BATCH):
        for masked in _pictures(runs, positions[start : start + BATCH]):
            _count(masked, beside, counts)
            for title, said in masked.said.items():
                asked.setdefault(title, []).append(_sample(masked.truth, said))
            kept.append(masked)
        kept = sorted(kept, key=lambda masked: -masked.differing(student, teacher))[:PICTURES]
    if not any(len(right) for own in asked.values() for _, right in own):
        return [Missing('Pixels', 'No pixel is annotated in these pictures.')]
    joined = {title: (torch.cat([a for a, _ in own]), torch.cat([b for _, b in own])) for title, own in asked.items()}
    counted = [shares(counts, 'pixels')] if counts else []
    return [*counted, draw_reliability(joined, 'pixels'), _draw(runs[0], kept, student, teacher)]


@torch.no_grad()
def _pictures(runs: Sequence[Rebuilt], positions: Sequence[int]) -> list[Masked]:
    truths: list[np.ndarray] = []
    said: list[dict[str, Said]] = [{} for _ in positions]
    for title, run, member, _ in voices(runs):
        (batch,) = run.batches(positions, BATCH)
        samples = MemberPredictor(run.model, member).val_step(batch)
        truths = [sample.gt_sem_seg.data.squeeze(0).cpu().numpy() for sample in samples]
        for own, sample in zip(said, samples):
            own[title] = _said(sample)
    return [Masked(*parts) for parts in zip(positions, truths, said)]


def _said(sample: Any) -> Said:
    classes, logits = sample.pred_sem_seg.data.squeeze(0).cpu(), sample.seg_logits.data.float().cpu()
    # What mmsegmentation keeps of one sigmoid is its probability.
    scores = torch.cat([1 - logits, logits]) if len(logits) == 1 else logits.softmax(0)
    return Said(classes.numpy(), scores.amax(0))


def _count(masked: Masked, beside: Mapping[str, str | None], counts: dict[str, dict[str, float]]) -> None:
    known = masked.truth != IGNORED
    for title, said in masked.said.items():
        teacher = beside[title]
        if teacher is None:
            continue
        theirs = masked.said[teacher].classes
        own = counts.setdefault(title, dict.fromkeys((BOTH, OURS, THEIRS, ALIKE, APART), 0))
        right, taught, same = said.classes == masked.truth, theirs == masked.truth, said.classes == theirs
        own[BOTH] += int((known & right & taught).sum())
        own[OURS] += int((known & right & ~taught).sum())
        own[THEIRS] += int((known & ~right & taught).sum())
        own[ALIKE] += int((known & ~right & ~taught & same).sum())
        own[APART] += int((known & ~right & ~taught & ~same).sum())


def _sample(truth: np.ndarray, said: Said) -> tuple[Tensor, Tensor]:
    """Confidence and rightness of pixels that are evenly spread over those with a label."""
    places = np.flatnonzero(truth != IGNORED)
    places = places[:: max(1, -(-len(places) // PIXELS))]
    right = said.classes.ravel()[places] == truth.ravel()[places]
    return said.sure.flatten()[torch.from_numpy(places)], torch.from_numpy(right)


def _draw(run: Rebuilt, pictures: Sequence[Masked], student: str, teacher: str | None) -> Figure:
    titles = list(pictures[0].said)[:COLUMNS]
    columns = 2 + len(titles)
    side, tall = 12 / columns, max(masked.truth.shape[0] / masked.truth.shape[1] for masked in pictures)
    drawing, grid = sheet(len(pictures), columns, 12, (side * tall + 0.1) * len(pictures) + 0.9)
    map_ = colormaps['tab20' if len(run.classes) > 8 else 'Set2'].with_extremes(bad='black')
    seen: set[int] = set()
    rows = []
    for line, (panels, masked) in enumerate(zip(grid, pictures)):
        maps = {'truth': masked.truth, **{title: masked.said[title].classes for title in titles}}
        panels[0].imshow(original(run, masked.position), interpolation='nearest')
        for panel, (title, values) in zip(panels[1:], maps.items()):
            hidden = np.ma.masked_equal(values, IGNORED)
            panel.imshow(hidden % map_.N, cmap=map_, vmin=0, vmax=map_.N - 1, interpolation='nearest')
            seen |= set(np.unique(hidden.compressed()).tolist())
            panel.set_title('' if line else title, fontsize='medium')
        for panel in panels:
            panel.set_axis_off()
        known = masked.truth != IGNORED
        right = [100 * (masked.said[title].classes == masked.truth)[known].mean() for title in titles]
        rows.append((str(masked.position), *(f'{value:.1f}' for value in right)))
    named = sorted(seen)[:NAMED]
    handles = [Patch(color=map_(place % map_.N), label=run.classes[place]) for place in named]
    drawing.legend(
        handles=handles, ncols=min(len(handles), 6), frameon=False, fontsize=FONT, loc='outside lower center'
    )
    told = '; '.join(', '.join(f'{t} {value} %' for t, value in zip(titles, row[1:])) for row in rows)
    return Figure(
        'masks',
        where_differs(student),
        f'Pictures, and the classes of their pixels by the truth and by {", ".join(titles)}; right are: {told}.',
        drawing,
        ('picture', *(f'{title}: % right' for title in titles)),
        rows,
        f'The pictures in which most pixels differ from those of {teacher or "the truth"}; black is not annotated.',
    )
