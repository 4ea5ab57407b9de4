"""Pictures with boxes: what was annotated, and what each member finds."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import mmcv
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from .answers import shown
from .figures import COLORS, FONT, sheet
from .rebuilt import Rebuilt

SCORE = 0.3
"""Detections of a lower score are not shown."""
OVERLAP = 0.5
"""Intersection over union from which two boxes count as the same place, as in AP50."""
TRUE, RIGHT, WRONG = COLORS[2], COLORS[0], COLORS[1]


class Boxes(NamedTuple):
    """Boxes of the objects in one image.

    Args:
        places (ndarray): Corners ``x1, y1, x2, y2`` in pixels, shape (K, 4).
        labels (ndarray): Classes, shape (K,).
        scores (ndarray): Confidences, shape (K,); ones for the ground truth.
    """

    places: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def surer(self, score: float) -> 'Boxes':
        """Those boxes that have at least a score."""
        kept = self.scores >= score
        return Boxes(self.places[kept], self.labels[kept], self.scores[kept])


class Scene(NamedTuple):
    """One image with its annotated objects and the detections.

    Args:
        image (ndarray): RGB, shape (H, W, 3).
        truth (Boxes): The annotated objects.
        found (dict[str, Boxes]): Detections by member.
    """

    image: np.ndarray
    truth: Boxes
    found: dict[str, Boxes]


def original(run: Rebuilt, position: int) -> np.ndarray:
    """A picture of the validation set as it is before the pipeline: RGB, shape (H, W, 3)."""
    info = run.dataset.get_data_info(position)
    if isinstance(info.get('img'), np.ndarray):
        return info['img'][..., ::-1]
    if info.get('img_path'):
        return mmcv.imread(info['img_path'], channel_order='rgb')
    return (255 * shown(run, run.dataset[position]['inputs'])).astype(np.uint8)


def annotated(info: Mapping[str, Any]) -> Boxes:
    """The objects that a data set's annotation of an image names."""
    objects = info['instances']
    places = np.array([entry['bbox'] for entry in objects], float).reshape(-1, 4)
    return Boxes(places, np.array([entry['bbox_label'] for entry in objects], int), np.ones(len(objects)))


def confident(instances: Any, score: float = SCORE) -> Boxes:
    """Return a detector's confident boxes, and where several classes overlap only the best one.

    Args:
        instances (InstanceData): The ``pred_instances`` of a sample.
        score (float): From which score on.
    """
    from mmcv.ops import nms  # mmcv-lite, with which classifiers are reported, has no operators

    kept = instances[instances.scores >= score].cpu()
    kept = kept[nms(kept.bboxes, kept.scores, OVERLAP)[1]]
    return Boxes(kept.bboxes.numpy(), kept.labels.numpy(), kept.scores.numpy())


def overlapping(place: np.ndarray, label: int, others: Boxes) -> np.ndarray:
    """Which of other boxes are of the same class and place, shape (K,)."""
    shared = np.minimum(place[2:], others.places[:, 2:]) - np.maximum(place[:2], others.places[:, :2])
    intersection = shared.clip(min=0).prod(axis=1)
    union = (place[2:] - place[:2]).prod() + (others.places[:, 2:] - others.places[:, :2]).prod(axis=1) - intersection
    return (intersection >= OVERLAP * union) & (others.labels == label)


def is_right(place: np.ndarray, label: int, truth: Boxes) -> bool:
    """Whether a box overlaps an annotated object of its class with an IoU of at least 0.5."""
    return bool(overlapping(place, label, truth).any())


def draw_scenes(scenes: Sequence[Scene], titles: Mapping[str, str], classes: Sequence[str], title: str = '') -> Any:
    """Draw a row for each image: the ground truth, then the detections of each member.

    Args:
        scenes (sequence of Scene): The images.
        titles (dict[str, str]): Titles of the columns by member, in their order.
        classes (sequence of str): Names of the classes.
        title (str): Title of the image.

    Returns:
        Figure: Matplotlib's.
    """
    columns = len(titles) + 1
    tall = max(scene.image.shape[0] / scene.image.shape[1] for scene in scenes)
    side = 12 / max(columns, 3)
    drawing, grid = sheet(len(scenes), columns, side * columns, side * tall * len(scenes) + 0.8)
    for line, (row, scene) in enumerate(zip(grid, scenes, strict=True)):
        for panel, (member, heading) in zip(row, {'': 'truth', **titles}.items(), strict=True):
            panel.imshow(scene.image, interpolation='nearest')
            panel.set_axis_off()
            _draw_boxes(panel, scene.found.get(member, scene.truth), scene.truth, classes, scored=bool(member))
            panel.set_title('' if line else heading, fontsize='medium')
    entries = {'truth': TRUE, f'right (class, IoU ≥ {OVERLAP})': RIGHT, 'wrong (dashed)': WRONG}
    handles = [
        Line2D([], [], color=color, linewidth=2.5, label=name, linestyle='--' if color == WRONG else '-')
        for name, color in entries.items()
    ]
    drawing.legend(handles=handles, frameon=False, ncols=len(entries), loc='outside lower center')
    if title:
        drawing.suptitle(title)
    return drawing


def _draw_boxes(axes: Any, boxes: Boxes, truth: Boxes, classes: Sequence[str], scored: bool) -> None:
    width = axes.get_xlim()[1]
    for place, label, score in zip(*boxes, strict=True):
        color = (RIGHT if is_right(place, label, truth) else WRONG) if scored else TRUE
        x1, y1, x2, y2 = place
        dashes = '--' if color == WRONG else '-'
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=1.6, ls=dashes))
        at_edge = x1 > 0.7 * width  # a label that began at the right edge would reach into the next panel
        axes.text(
            min(x2, width) if at_edge else max(x1, 0),
            max(y1, 0),
            f'{classes[label]} {score:.2f}' if scored else classes[label],
            color='white',
            fontsize=FONT,
            horizontalalignment='right' if at_edge else 'left',
            verticalalignment='bottom' if y1 > 0.08 * axes.get_ylim()[0] else 'top',
            bbox={'facecolor': color, 'edgecolor': 'none', 'pad': 1},
        )
