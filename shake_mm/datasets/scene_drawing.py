"""Images of digits or other small pictures scattered over a textured canvas, with a tight box around each."""

from typing import NamedTuple

import mmcv
import numpy as np

from .glyphs import SPLITS, Glyphs, load_glyphs, split_glyphs

NOMINAL = 96
"""Canvas side, in pixels, for which the sizes below are stated."""
GLYPH_SIZES = (12, 40)
"""Smallest and largest side of a pasted glyph, on a canvas of :data:`NOMINAL` pixels; they grow with the canvas."""
MAX_DIGITS = 6
MAX_OVERLAP = 0.1
"""Greatest share of the smaller of two boxes that the other may cover."""
TRIES = 20
INK = 0.25
"""What is fainter in an enlarged glyph is paper, not ink."""
IGNORED = 255
"""Label of the pixels at the edge of a stroke, which are neither ink nor canvas."""
SURE = 0.5
"""Opacity from which a pixel is ink."""


class Scene(NamedTuple):
    """An image and what it shows.

    Attributes:
        img: Shape :math:`(H, W, 3)`, uint8, BGR.
        boxes: Left, top, width and height of the ink, in whole pixels, shape :math:`(n, 4)`.
        labels: The classes, shape :math:`(n, )`.
        glyphs: Positions of the pictures that are shown, shape :math:`(n, )`; of digits, in
            :func:`sklearn.datasets.load_digits`.
        mask: What each pixel shows: 0 for the canvas, the class plus 1, :data:`IGNORED` where ink is half transparent.
            Shape :math:`(H, W)`, uint8.
    """

    img: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    glyphs: np.ndarray
    mask: np.ndarray


def draw_scene(
    split: str,
    index: int,
    size: tuple[int, int],
    seed: int = 0,
    glyphs: Glyphs | None = None,
    ink: float = INK,
    splits: tuple[str, ...] = SPLITS,
) -> Scene:
    """Draw the image that these arguments determine, bit for bit.

    Args:
        split: Where the glyphs come from, e.g. ``'train'`` or ``'val'``.
        index: Position of the image in its set, of any length.
        size: Height and width.
        seed: Seed of the drawing. It does not touch the split of the glyphs.
        glyphs: What is pasted; its pictures may be 8-bit numbers. Defaults to None: scikit-learn's digits.
        ink: Intensity, in [0, 1], below which an enlarged glyph is paper. Defaults to :data:`INK`.
        splits: Names of all splits; the position of ``split`` is part of the seed.
    """
    rng = np.random.default_rng((seed, splits.index(split), *size, index))
    pictures, classes, own = glyphs or Glyphs(*load_glyphs(), split_glyphs(split))
    img, mask = draw_background(rng, size), np.zeros(size, np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    chosen = []
    for _ in range(rng.integers(1, MAX_DIGITS + 1)):
        glyph = rng.choice(own)
        side = round(rng.uniform(*GLYPH_SIZES) * min(size) / NOMINAL)
        opacity = _crop(_enlarge(pictures[glyph], side, ink))
        box = _place(rng, opacity.shape, size, boxes)
        if box is not None:
            _blend(rng, img, opacity, box)
            _mark(mask, opacity, box, classes[glyph] + 1)
            boxes.append(box)
            chosen.append(glyph)
    img += 0.02 * rng.standard_normal(img.shape, dtype=np.float32)
    pixels = np.rint(255 * img.clip(0, 1)).astype(np.uint8)
    return Scene(pixels, np.array(boxes), classes[chosen], np.array(chosen), mask)


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Draw a gradient between two colors, coarse noise and stripes: shape :math:`(H, W, 3)`, float32."""
    height, width = size
    # Coordinates from 0 to 1, whatever the size, so that all canvases look alike.
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(size)

    def along(angle: float) -> np.ndarray:
        return (np.cos(angle) * x + np.sin(angle) * y)[..., None]

    start, end = rng.uniform(0.15, 0.85, (2, 3))
    slope = along(rng.uniform(0, 2 * np.pi))
    slope = (slope - slope.min()) / np.ptp(slope)
    coarse = rng.standard_normal((rng.integers(3, 9), rng.integers(3, 9), 3)).astype(np.float32)
    noise = rng.uniform(0.02, 0.12) * mmcv.imresize(coarse, (width, height), interpolation='bicubic')
    wave = np.sin(2 * np.pi * rng.uniform(3, 16) * along(rng.uniform(0, np.pi)) + rng.uniform(0, 2 * np.pi))
    stripes = rng.uniform(0, 0.1) * rng.uniform(-1, 1, 3) * wave
    return (start + (end - start) * slope + noise + stripes).astype(np.float32)


def _enlarge(glyph: np.ndarray, side: int, ink: float) -> np.ndarray:
    """Resize a glyph to ``side`` pixels and take the paper away: opacity in [0, 1], zero where there is no ink."""
    if glyph.dtype == np.uint8:
        glyph = glyph.astype(np.float32) / 255
    enlarged = mmcv.imresize(glyph, (side, side), interpolation='bilinear')
    return ((enlarged - ink) / (1 - ink)).clip(0, 1)


def _crop(ink: np.ndarray) -> np.ndarray:
    """Cut off the rows and columns around the ink."""
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    size: tuple[int, int],
    others: list[tuple[int, int, int, int]],
) -> tuple[int, int, int, int] | None:
    """Find a box of ``shape`` that hardly overlaps the others; None if there seems to be no room."""
    height, width = shape
    for _ in range(TRIES):
        left, top = rng.integers(0, (size[1] - width + 1, size[0] - height + 1))
        box = (int(left), int(top), width, height)
        if all(_overlap(box, other) <= MAX_OVERLAP for other in others):
            return box
    return None


def _overlap(one: tuple[int, int, int, int], two: tuple[int, int, int, int]) -> float:
    """Share of the smaller box that the other covers: unlike the IoU, 1 for a small digit on a large one."""
    width = min(one[0] + one[2], two[0] + two[2]) - max(one[0], two[0])
    height = min(one[1] + one[3], two[1] + two[3]) - max(one[1], two[1])
    return max(width, 0) * max(height, 0) / min(one[2] * one[3], two[2] * two[3])


def _blend(rng: np.random.Generator, img: np.ndarray, ink: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Draw the ink in a color that stands out from what lies below, in place."""
    left, top, width, height = box
    below = img[top : top + height, left : left + width]
    mean = below.mean((0, 1))
    # Darker on light paper, lighter on dark, by a contrast of its own; the hue is free.
    away = 1.0 if mean.mean() < 0.5 else -1.0
    color = (mean + away * rng.uniform(0.2, 0.6) + rng.uniform(-0.15, 0.15, 3)).clip(0, 1).astype(np.float32)
    below += ink[..., None] * (color - below)


def _mark(mask: np.ndarray, ink: np.ndarray, box: tuple[int, int, int, int], label: int) -> None:
    """Write a label where there is ink, in place."""
    left, top, width, height = box
    below = mask[top : top + height, left : left + width]
    below[ink > 0] = IGNORED
    below[ink >= SURE] = label
