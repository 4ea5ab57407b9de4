import numpy as np
import pytest
from sklearn.datasets import load_digits

from shake_mm.datasets import scene_drawing
from shake_mm.datasets.glyphs import split_glyphs
from shake_mm.datasets.scene_drawing import draw_background, draw_scene

SIZES = pytest.mark.parametrize('size', [(96, 96), (48, 80), (130, 64)])


@SIZES
def test_is_deterministic(size):
    for split in ('train', 'val'):
        for one, two in zip(draw_scene(split, 5, size, seed=3), draw_scene(split, 5, size, seed=3)):
            assert np.array_equal(one, two)


def test_each_argument_matters():
    base = draw_scene('train', 0, (64, 64)).img
    for other in (
        draw_scene('val', 0, (64, 64)),
        draw_scene('train', 1, (64, 64)),
        draw_scene('train', 0, (64, 64), seed=1),
    ):
        assert not np.array_equal(base, other.img)
    assert not np.array_equal(base[:48], draw_scene('train', 0, (48, 64)).img)


@SIZES
@pytest.mark.parametrize('split', ['train', 'val'])
def test_contents(size, split):
    digits, own = load_digits().target, set(split_glyphs(split))
    for index in range(40):
        scene = draw_scene(split, index, size)
        assert scene.img.shape == (*size, 3) and scene.img.dtype == np.uint8
        assert 1 <= len(scene.boxes) <= 6
        assert np.array_equal(scene.labels, digits[scene.glyphs])
        assert set(scene.glyphs) <= own
        left, top, width, height = scene.boxes.T
        assert (left >= 0).all() and (top >= 0).all()
        assert (left + width <= size[1]).all() and (top + height <= size[0]).all()
        scale = min(size) / 96
        # A glyph is 8 pixels high with its paper, and rounded to whole pixels when enlarged.
        assert (height >= 0.5 * 12 * scale).all() and (height <= round(40 * scale)).all()
        for i in range(len(scene.boxes)):
            for j in range(i):
                across = min(left[i] + width[i], left[j] + width[j]) - max(left[i], left[j])
                down = min(top[i] + height[i], top[j] + height[j]) - max(top[i], top[j])
                smaller = min(width[i] * height[i], width[j] * height[j])
                assert max(across, 0) * max(down, 0) <= 0.1 * smaller


class Noiseless:
    """A generator whose normal draws are zero: no grain on the image, and the same on the background."""

    def __init__(self, seed):
        self._rng = RANDOM(seed)

    def __getattr__(self, name):
        return getattr(self._rng, name)

    def standard_normal(self, size, dtype=np.float64):
        return np.zeros(size, dtype)


RANDOM = np.random.default_rng


def test_boxes_are_tight_on_the_ink(monkeypatch):
    """On a flat canvas, every pixel that differs from it lies in a box, and every side of a box touches some."""
    monkeypatch.setattr(np.random, 'default_rng', Noiseless)
    gray = np.full((96, 96, 3), 0.5, np.float32)
    monkeypatch.setattr(scene_drawing, 'draw_background', lambda rng, size: gray.copy())
    paper = np.rint(255 * gray).astype(np.uint8)
    sides = 0
    for index in range(30):
        scene = draw_scene('train', index, (96, 96))
        inked = (scene.img != paper).any(-1)
        covered = np.zeros_like(inked)
        for left, top, width, height in scene.boxes:
            covered[top : top + height, left : left + width] = True
            box = inked[top : top + height, left : left + width]
            # The faintest ink can round to the canvas: a side may then seem one pixel off, never two.
            assert box[:2].any() and box[-2:].any() and box[:, :2].any() and box[:, -2:].any()
            sides += sum(edge.any() for edge in (box[0], box[-1], box[:, 0], box[:, -1])) == 4
        assert inked.any() and not inked[~covered].any()
    assert sides > 60


def test_digits_and_sizes_vary():
    scenes = [draw_scene('val', index, (96, 96)) for index in range(200)]
    assert set(np.concatenate([scene.labels for scene in scenes])) == set(range(10))
    assert {len(scene.labels) for scene in scenes} == {1, 2, 3, 4, 5, 6}
    heights = np.concatenate([scene.boxes[:, 3] for scene in scenes])
    assert heights.min() < 14 and heights.max() > 36


def test_backgrounds_are_textured_and_differ():
    one, two = (draw_background(np.random.default_rng(seed), (48, 96)) for seed in (0, 1))
    assert one.shape == (48, 96, 3) and one.dtype == np.float32
    assert one.std((0, 1)).min() > 0.01
    assert np.abs(one - two).mean() > 0.05
