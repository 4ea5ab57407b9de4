"""Digits with the class of every pixel: what is drawn, and that mmsegmentation's pipeline and metric read it."""

import mmcv
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

from shake_mm.datasets import DigitMasks, digit_masks
from shake_mm.datasets.scene_drawing import IGNORED, draw_scene
from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]


@pytest.fixture
def make(tmp_path):
    def build(split='val', num_images=4, image_size=48, **kwargs):
        return DigitMasks(split=split, num_images=num_images, image_size=image_size, data_root=str(tmp_path), **kwargs)

    return build


def visible(folder):
    return sorted(path.name for path in folder.iterdir())


def test_reads_what_was_drawn(make, tmp_path):
    dataset = make(image_size=(48, 64), seed=2)
    assert visible(tmp_path) == ['val_4_48x64_seed2_v1']
    for index in range(4):
        scene, info = draw_scene('val', index, (48, 64), seed=2), dataset.get_data_info(index)
        assert np.array_equal(mmcv.imread(info['img_path']), scene.img)
        assert np.array_equal(mmcv.imread(info['seg_map_path'], 'unchanged'), scene.mask)


def test_a_mask_shows_the_digits_inside_of_their_boxes_and_nothing_else():
    for index in range(20):
        scene = draw_scene('train', index, (96, 96))
        outside = np.ones((96, 96), bool)
        for (left, top, width, height), label in zip(scene.boxes, scene.labels):
            inside = scene.mask[top : top + height, left : left + width]
            outside[top : top + height, left : left + width] = False
            assert (inside == label + 1).sum() > 4 and (inside == IGNORED).any()
        assert not scene.mask[outside].any()
        assert set(np.unique(scene.mask)) <= {0, IGNORED, *(scene.labels + 1)}


def test_ink_is_where_the_image_differs_from_the_canvas():
    """On the mean over many images, the labeled pixels stand out more from their box's canvas than the ignored ones."""
    contrast = {'ink': [], 'edge': []}
    for index in range(30):
        scene = draw_scene('val', index, (96, 96))
        gray = scene.img.astype(float).mean(2)
        for left, top, width, height in scene.boxes:
            part = (slice(top, top + height), slice(left, left + width))
            mask, values = scene.mask[part], gray[part]
            if (mask == 0).any():
                canvas = np.median(values[mask == 0])
                contrast['ink'].append(abs(values[(mask > 0) & (mask != IGNORED)] - canvas).mean())
                contrast['edge'].append(abs(values[mask == IGNORED] - canvas).mean())
    assert np.mean(contrast['ink']) > 1.5 * np.mean(contrast['edge']) > 0


def test_a_half_set_is_drawn_anew_and_a_whole_one_is_not(make, tmp_path, monkeypatch):
    make()
    (folder,) = tmp_path.iterdir()
    before = {path: path.read_bytes() for path in folder.rglob('*.png')}
    assert len(before) == 8
    (folder / 'masks' / '000002.png').unlink()
    make()
    assert {path: path.read_bytes() for path in folder.rglob('*.png')} == before and visible(tmp_path) == [folder.name]

    def refuse(*args):
        raise AssertionError('drew a set that is whole')

    monkeypatch.setattr(digit_masks, 'draw_scene', refuse)
    assert len(make()) == 4
    with pytest.raises(AssertionError):
        make(num_images=5)
    assert visible(tmp_path) == [folder.name]


def test_pipeline_and_metric_of_mmsegmentation(tmp_path):
    from mmseg.evaluation import IoUMetric

    with DefaultScope.overwrite_default_scope('mmseg'):
        config = dict(type='shake_mm.DigitMasks', num_images=8, image_size=48, data_root=str(tmp_path))
        dataset = DATASETS.build(dict(config, pipeline=PIPELINE))
        items = [dataset[index] for index in range(8)]
        pictures = DATASETS.build(dict(config, labeled=False, pipeline=[PIPELINE[0], PIPELINE[2]]))
        assert 'gt_sem_seg' not in pictures[3]['data_samples']
        assert torch.equal(pictures[3]['inputs'], items[3]['inputs'])
    for spoilt in (False, True):
        metric = IoUMetric()
        metric.dataset_meta = dataset.metainfo
        for item in items:
            truth = item['data_samples'].gt_sem_seg.data
            assert truth.shape == (1, 48, 48)
            predicted = torch.where(truth == IGNORED, 0, (truth + spoilt) % 11)
            metric.process({}, [dict(pred_sem_seg=dict(data=predicted), gt_sem_seg=dict(data=truth))])
        found = metric.evaluate(8)
        assert found['aAcc'] == (0.0 if spoilt else 100.0)


@pytest.mark.parametrize(
    ('kwargs', 'sentence'),
    [
        (dict(split='test'), r"split='test' .* use 'train' or 'val'\.$"),
        (dict(num_images=0), r'num_images=0 .* empty: use 1 or more\.$'),
        (dict(image_size=(96, 40)), r'image_size=\(96, 40\) .* 48 or more\.$'),
    ],
)
def test_bad_arguments(make, tmp_path, kwargs, sentence):
    with pytest.raises(UsageError, match=sentence):
        make(**kwargs)
    assert visible(tmp_path) == []
