import json
import multiprocessing
import os

import mmcv
import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.registry import DefaultScope

from shake_mm.datasets import DigitScenes, digit_scenes
from shake_mm.datasets.digit_scenes import folder_name
from shake_mm.datasets.scene_drawing import draw_scene
from shake_mm.errors import UsageError
from shake_mm.registry import DATASETS


@pytest.fixture
def make(tmp_path):
    def build(split='val', num_images=6, image_size=48, **kwargs):
        kwargs.setdefault('data_root', str(tmp_path))
        return DigitScenes(split=split, num_images=num_images, image_size=image_size, **kwargs)

    return build


def refuse(*args):
    raise AssertionError('drew a set that is whole')


def visible(folder):
    return sorted(path.name for path in folder.iterdir())


def test_reads_what_was_drawn(make, tmp_path):
    dataset = make(image_size=(48, 64), seed=2)
    assert visible(tmp_path) == ['val_6_48x64_seed2_v1']
    assert len(dataset) == 6 and dataset.metainfo['classes'] == tuple('0123456789')
    for index in range(6):
        scene, info = draw_scene('val', index, (48, 64), seed=2), dataset.get_data_info(index)
        assert (info['img_id'], info['height'], info['width']) == (index, 48, 64)
        assert np.array_equal(mmcv.imread(info['img_path']), scene.img)
        assert [instance['bbox_label'] for instance in info['instances']] == list(scene.labels)
        found = np.array([instance['bbox'] for instance in info['instances']])
        assert np.array_equal(found[:, :2], scene.boxes[:, :2])
        assert np.array_equal(found[:, 2:], scene.boxes[:, :2] + scene.boxes[:, 2:])


def test_a_longer_set_begins_with_the_shorter(make, tmp_path):
    make(num_images=3), make(num_images=7)
    short, long = (tmp_path / folder_name('val', num, (48, 48)) for num in (3, 7))
    for index in range(3):
        name = f'{index:06d}.png'
        assert (short / name).read_bytes() == (long / name).read_bytes()
    few, many = (json.loads((folder / 'annotations.json').read_text()) for folder in (short, long))
    assert many['images'][:3] == few['images']
    assert many['annotations'][: len(few['annotations'])] == few['annotations']


def test_splits_never_share_a_glyph(make, tmp_path):
    seen = {}
    for split, seed in (('train', 0), ('val', 1)):
        make(split=split, num_images=150, seed=seed)
        folder = tmp_path / folder_name(split, 150, (48, 48), seed)
        annotations = json.loads((folder / 'annotations.json').read_text())['annotations']
        seen[split] = {annotation['glyph'] for annotation in annotations}
        assert len(seen[split]) > 100
    assert not seen['train'] & seen['val']


def test_a_whole_set_is_not_drawn_again(make, monkeypatch):
    make()
    monkeypatch.setattr(digit_scenes, 'draw_scene', refuse)
    assert len(make()) == 6


def test_lazy_init_draws_nothing(make, tmp_path):
    dataset = make(lazy_init=True)
    assert visible(tmp_path) == []
    assert len(dataset) == 6


@pytest.mark.parametrize('lost', ['annotations.json', '000004.png'])
def test_a_half_set_is_drawn_anew(make, tmp_path, lost):
    make()
    folder = tmp_path / folder_name('val', 6, (48, 48))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / lost).unlink()
    assert len(make()) == 6
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert visible(tmp_path) == [folder.name]


def test_a_broken_build_leaves_nothing(make, tmp_path, monkeypatch):
    def fail(split, index, *args):
        return refuse() if index == 4 else draw_scene(split, index, *args)

    monkeypatch.setattr(digit_scenes, 'draw_scene', fail)
    with pytest.raises(AssertionError):
        make()
    assert visible(tmp_path) == []


def test_a_process_that_comes_second_keeps_the_first_ones_set(make, tmp_path, monkeypatch):
    def overtaken(split, index, *args):
        if index == 5:
            monkeypatch.setattr(digit_scenes, 'draw_scene', draw_scene)
            make()
            times.append(os.stat(folder).st_ino)
        return draw_scene(split, index, *args)

    times, folder = [], tmp_path / folder_name('val', 6, (48, 48))
    monkeypatch.setattr(digit_scenes, 'draw_scene', overtaken)
    assert len(make()) == 6
    assert times == [os.stat(folder).st_ino]
    assert visible(tmp_path) == [folder.name]


def test_two_processes_at_once(tmp_path):
    arguments = ('val', 40, 48, 0, str(tmp_path))
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=DigitScenes, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert visible(tmp_path) == [folder_name('val', 40, (48, 48))]


@pytest.mark.parametrize('from_file', [True, False])
def test_coco_metric_on_perfect_and_on_spoilt_predictions(make, tmp_path, from_file):
    dataset = make(num_images=40)
    file = tmp_path / folder_name('val', 40, (48, 48)) / 'annotations.json'
    for spoilt in (False, True):
        metric = CocoMetric(ann_file=str(file) if from_file else None)
        metric.dataset_meta = dataset.metainfo
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            labels = torch.tensor([instance['bbox_label'] for instance in info['instances']])
            boxes = torch.tensor([instance['bbox'] for instance in info['instances']])
            predicted = dict(bboxes=boxes, labels=(labels + spoilt) % 10, scores=torch.ones(len(labels)))
            sample = dict(info, ori_shape=(48, 48), pred_instances=predicted)
            metric.process({}, [sample])
        found = metric.evaluate(40)['coco/bbox_mAP']
        assert found < 0.1 if spoilt else found == 1.0


def test_pipeline_of_mmdet(tmp_path):
    config = dict(
        type='shake_mm.DigitScenes',
        num_images=4,
        image_size=(48, 64),
        data_root=str(tmp_path),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs'),
        ],
    )
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(config)
        item = dataset[1]
    assert item['inputs'].shape == (3, 48, 64)
    truth = draw_scene('train', 1, (48, 64))
    assert item['data_samples'].gt_instances.labels.tolist() == list(truth.labels)


@pytest.mark.parametrize(
    ('kwargs', 'sentence'),
    [
        (dict(split='test'), r"split='test' .* use 'train' or 'val'\.$"),
        (dict(num_images=0), r'num_images=0 .* empty: use 1 or more\.$'),
        (dict(num_images=-2), r'num_images=-2 .* empty: use 1 or more\.$'),
        (dict(image_size=32), r'image_size=32 .* 48 or more\.$'),
        (dict(image_size=(96, 40)), r'image_size=\(96, 40\) .* 48 or more\.$'),
        (dict(image_size=(96,)), r'image_size=\(96,\) .* one side or two, 48 or more\.$'),
    ],
)
def test_bad_arguments(make, tmp_path, kwargs, sentence):
    with pytest.raises(UsageError, match=sentence):
        make(**kwargs)
    assert visible(tmp_path) == []
