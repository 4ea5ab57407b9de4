"""Switches of the command line, as configs."""

import re

import pytest
from mmengine.config import Config

from shake_mm import switches
from shake_mm.errors import UsageError

CROP, FLIP = dict(type='RandomCrop', crop_size=32, padding=4), dict(type='RandomFlip', prob=0.5)


@pytest.fixture
def cfg():
    teachers = [
        dict(config='a.py', checkpoint='work_dirs/a/epoch_1.pth'),
        dict(config='b.py', checkpoint='/x/work_dirs/grid/b/seed1/epoch_2.pth', cache='mine'),
        dict(config='c.py', trainable=True),
    ]
    dataset = dict(type='CIFAR100', data_root='data', pipeline=[CROP, FLIP, dict(type='PackInputs')])
    loader = dict(dataset=dataset, num_workers=2, persistent_workers=True, collate_fn=dict(type='default_collate'))
    return Config(dict(model=dict(teachers=teachers), train_dataloader=loader))


def test_batched(cfg):
    switches.make_batched(cfg)
    loader = cfg.train_dataloader
    assert loader.dataset.type == 'shake_mm.BatchedViews' and loader.dataset.dataset.pipeline == []
    assert (loader.dataset.crop_size, loader.dataset.padding, loader.dataset.flip_prob) == (32, 4, 0.5)
    assert (loader.num_workers, loader.persistent_workers, loader.pin_memory) == (0, False, False)
    assert loader.collate_fn == dict(type='shake_mm.as_batch')


@pytest.mark.parametrize('batched', [True, False])
def test_cached(cfg, batched):
    if batched:
        switches.make_batched(cfg)
    switches.make_cached(cfg, 'kept')
    caches = [teacher.get('cache') for teacher in cfg.model.teachers]
    assert re.fullmatch(r'kept/a-epoch_1-[0-9a-f]{8}', caches[0]) and caches[1:] == ['mine', None]
    assert cfg.custom_hooks == [dict(type='shake_mm.TeacherCacheHook')]
    if not batched:
        view, pack = cfg.train_dataloader.dataset.pipeline
        assert view == dict(type='shake_mm.RandomView', crop_size=32, padding=4, flip_prob=0.5)
        assert pack == dict(type='PackInputs', meta_keys=('sample_idx', 'view_idx'))


def test_paths_that_end_alike_have_folders_of_their_own(cfg):
    ends = ('b/seed1/epoch_2.pth', 'b-seed1/epoch_2.pth', 'b/seed1/epoch_2.pt', 'b/work_dirs/seed1/epoch_2.pth')
    paths = [f'{start}/{end}' for start in ('/x/grid', '/y/grid', 'grid', '../grid') for end in ends]
    cfg.model.teachers = [dict(config='b.py', checkpoint=path) for path in paths]
    switches.make_cached(cfg, 'kept')
    folders = [teacher.cache for teacher in cfg.model.teachers]
    assert len(set(folders)) == len(paths) and all(folder.startswith('kept/') for folder in folders)
    cfg.model.teachers = [dict(config='b.py', checkpoint='./grid/../grid/b/seed1/epoch_2.pth')]
    switches.make_cached(cfg, 'kept')
    assert cfg.model.teachers[0].cache == folders[2 * len(ends)]


def test_contrast_sets_are_looked_through_where_images_stay_single(cfg):
    cfg.train_dataloader.dataset = dict(type='shake_mm.ContrastDataset', dataset=cfg.train_dataloader.dataset)
    with pytest.raises(UsageError, match='--batched does not know the views of a ContrastDataset: leave it out'):
        switches.make_batched(cfg)
    switches.make_cached(cfg, 'kept')
    assert cfg.train_dataloader.dataset.dataset.pipeline[0].type == 'shake_mm.RandomView'


def test_nothing_to_cache(cfg):
    cfg.model.teachers = [dict(config='c.py', trainable=True)]
    with pytest.raises(UsageError, match='no frozen teacher with a checkpoint: leave it out'):
        switches.make_cached(cfg, 'kept')


@pytest.mark.parametrize(('scope', 'model'), [('mmpretrain', 'AverageClsScoreTTA'), ('mmdet', 'DetTTAModel')])
def test_tta_without_settings_of_its_own_mirrors_the_image(scope, model):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackDetInputs', meta_keys=('img_id', 'instances'))]
    inner = dict(type='CocoDataset', batch_shapes_cfg=dict(type='BatchShapePolicy'), pipeline=pipeline)
    cfg = Config(
        dict(
            default_scope=scope,
            model=dict(type='Net'),
            test_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[inner, inner])),
        )
    )
    switches.make_tta(cfg)
    assert cfg.model.type == model and cfg.model.module == dict(type='Net')
    for dataset in cfg.test_dataloader.dataset.datasets:
        load, views = dataset.pipeline
        assert dataset.batch_shapes_cfg is None and load.type == 'LoadImageFromFile'
        flips, [pack] = views.transforms
        assert [flip.prob for flip in flips] == [1.0, 0.0]
        assert ('flip' in pack.meta_keys) == (scope == 'mmdet') and 'instances' in pack.meta_keys
