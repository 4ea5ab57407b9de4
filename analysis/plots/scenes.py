"""The plot of a demonstration on detectors: each member's detections, side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mmcv
import numpy as np
from mmcv.ops import nms
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, init_default_scope

from analysis.plots.colors import COLORS
from shake_mm.engine import MemberPredictor
from shake_mm.members import load_strictly, read_checkpoint
from shake_mm.registry import MODELS
from shake_mm.reports import write_figure

SCORE = 0.3
"""Detections of a lower score are not shown."""
OVERLAP = 0.5
"""Intersection over union from which two boxes count as the same place, as in AP50."""
TRUE, RIGHT, WRONG = COLORS[2], COLORS[0], COLORS[5]


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


def detect(cfg: Config, checkpoint: str | Path, members: Sequence[str], number: int) -> tuple[list[Scene], list[str]]:
    """Let several members of a trained distiller detect on the first images of its validation set.

    Args:
        cfg (Config): The run's config.
        checkpoint (str | Path): The distiller's checkpoint.
        members (sequence of str): ``'teacher0'``, ``'student'``, ``'proxy0'``, …
        number (int): How many images.

    Returns:
        tuple[list[Scene], list[str]]: The images, and the names of the classes.
    """
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    state = read_checkpoint(str(checkpoint))['state_dict']
    load_strictly(model, state, 'distiller', str(checkpoint))
    model.eval()
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    batch = pseudo_collate([dataset[i] for i in range(number)])
    found = {}
    for member in members:
        samples = MemberPredictor(model, member).test_step(batch)
        found[member] = [confident(sample.pred_instances) for sample in samples]
    scenes = []
    for i in range(number):
        info = dataset.get_data_info(i)
        image = mmcv.imread(info['img_path'], channel_order='rgb')
        scenes.append(Scene(image, annotated(info), {member: found[member][i] for member in members}))
    return scenes, list(dataset.metainfo['classes'])


def annotated(info: Mapping[str, Any]) -> Boxes:
    """The objects that a data set's annotation of an image names."""
    objects = info['instances']
    places = np.array([entry['bbox'] for entry in objects], float).reshape(-1, 4)
    return Boxes(places, np.array([entry['bbox_label'] for entry in objects], int), np.ones(len(objects)))


def confident(instances: Any) -> Boxes:
    """Return a detector's confident boxes, and where several classes overlap only the best one.

    Args:
        instances (InstanceData): The ``pred_instances`` of a sample.
    """
    kept = instances[instances.scores >= SCORE].cpu()
    kept = kept[nms(kept.bboxes, kept.scores, OVERLAP)[1]]
    return Boxes(kept.bboxes.numpy(), kept.labels.numpy(), kept.scores.numpy())


def is_right(place: np.ndarray, label: int, truth: Boxes) -> bool:
    """Whether a box overlaps an annotated object of its class with an IoU of at least 0.5."""
    shared = np.minimum(place[2:], truth.places[:, 2:]) - np.maximum(place[:2], truth.places[:, :2])
    intersection = shared.clip(min=0).prod(axis=1)
    union = (place[2:] - place[:2]).prod() + (truth.places[:, 2:] - truth.places[:, :2]).prod(axis=1) - intersection
    return bool(((intersection >= OVERLAP * union) & (truth.labels == label)).any())


def draw_scenes(
    scenes: Sequence[Scene], titles: Mapping[str, str], classes: Sequence[str], path: str | Path, title: str = ''
) -> None:
    """Draw a row for each image: the ground truth, then the detections of each member.

    Args:
        scenes (sequence of Scene): From :func:`detect`.
        titles (dict[str, str]): Titles of the columns by member, in their order.
        classes (sequence of str): Names of the classes.
        path (str | Path): The image to write.
        title (str): Title of the image.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    size = (3 * (len(titles) + 1), 3 * len(scenes) + 1)
    figure, axes = plt.subplots(
        len(scenes), len(titles) + 1, figsize=size, squeeze=False, layout='constrained', dpi=130
    )
    for row, scene in zip(axes, scenes, strict=True):
        for panel, (member, heading) in zip(row, {'': 'ground truth', **titles}.items(), strict=True):
            panel.imshow(scene.image, interpolation='nearest')
            panel.set_axis_off()
            _draw_boxes(panel, scene.found.get(member, scene.truth), scene.truth, classes, scored=bool(member))
            if scene is scenes[0]:
                panel.set_title(heading, fontsize='medium')
    entries = {'ground truth': TRUE, f'right (class, IoU ≥ {OVERLAP})': RIGHT, 'wrong': WRONG}
    handles = [plt.Line2D([], [], color=color, linewidth=2.5, label=name) for name, color in entries.items()]
    figure.legend(handles=handles, frameon=False, ncols=len(entries), loc='outside lower center')
    figure.suptitle(title)
    write_figure(path, figure)
    plt.close(figure)


def _draw_boxes(axes: Any, boxes: Boxes, truth: Boxes, classes: Sequence[str], scored: bool) -> None:
    from matplotlib.patches import Rectangle

    for place, label, score in zip(*boxes, strict=True):
        color = (RIGHT if is_right(place, label, truth) else WRONG) if scored else TRUE
        x1, y1, x2, y2 = place
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=1.6))
        # A label that began at the right edge would reach into the next panel.
        at_edge = x1 > 0.75 * axes.get_xlim()[1]
        axes.text(
            x2 if at_edge else x1,
            y1,
            f'{classes[label]} {score:.2f}' if scored else classes[label],
            color='white',
            fontsize=8,
            horizontalalignment='right' if at_edge else 'left',
            verticalalignment='bottom',
            bbox={'facecolor': color, 'edgecolor': 'none', 'pad': 1},
        )
