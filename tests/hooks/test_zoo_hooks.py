"""The hooks that mmdet's and mmpretrain's own configs bring, beside ours, in runs by ``tools/train.py``."""

import pytest
import torch
from mmengine.config import Config, ConfigDict

from shake_mm.compat import configs_dir
from tools.train import main

from ..support.detectors import detector, lively
from ..support.runs import run_config

OURS = [dict(type=f'shake_mm.{name}') for name in ('MemberEvalHook', 'StageHook', 'FiniteGuardHook')]


def hooks_of(name):
    """The ``custom_hooks`` of a package's config; what they wait for comes in the second epoch."""
    hooks = Config.fromstring(f'_base_ = {name!r}', '.py').custom_hooks
    for hook in hooks:
        for key in ('switch_epoch', 'num_last_epochs'):
            if key in hook:
                hook[key] = 1
        if 'switch_pipeline' in hook:
            hook.switch_pipeline = PIPELINE
        if 'schedule' in hook:  # of MobileOne's recipes
            hook.schedule = [dict(action_epoch=1, pipeline=[dict(type='PackInputs')])]
        if 'num_samples' in hook:
            hook.num_samples = 16
    return hooks


PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='PackDetInputs'),
]
YOLOX = dict(
    type='YOLOXHead',
    num_classes=10,
    in_channels=8,
    feat_channels=8,
    stacked_convs=1,
    strides=[4, 8, 16],
    loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum', loss_weight=1.0),
    loss_obj=dict(type='CrossEntropyLoss', use_sigmoid=True, reduction='sum', loss_weight=1.0),
)
DETECTORS = {
    'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py': 'rtmdet',
    'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py': 'yolox',
    'mmdet::pascal_voc/ssd300_voc0712.py': 'retinanet',
}
CLASSIFIERS = (
    'mmpretrain::convnext/convnext-tiny_32xb128_in1k.py',
    'mmpretrain::regnet/regnetx-400mf_8xb128_in1k.py',
    'mmpretrain::mobileone/mobileone-s1_8xb32_in1k.py',
    'mmpretrain::vision_transformer/vit-base-p16_32xb128-mae_in1k.py',
)


def network(kind):
    if kind != 'yolox':
        return detector(kind, classes=10)
    config = detector('retinanet', classes=10)
    train_cfg = dict(assigner=dict(type='SimOTAAssigner', center_radius=2.5))
    test_cfg = dict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.65))
    return ConfigDict({**config, 'type': 'YOLOX', 'bbox_head': YOLOX, 'train_cfg': train_cfg, 'test_cfg': test_cfg})


def train(cfg, tmp_path):
    cfg.dump(tmp_path / 'config.py')
    assert main([str(tmp_path / 'config.py'), '--debug']) == 0
    state = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert state['meta']['epoch'] == 2 and any(key.startswith('proxies.') for key in state['state_dict'])
    assert all(torch.isfinite(value).all() for value in state['state_dict'].values())
    return state


@pytest.mark.parametrize('name', DETECTORS)
def test_a_detector_trains_with_the_hooks_of_its_config(name, tmp_path):
    """Averaged weights, other pipelines and heads for the last epochs, counts of classes, norms of all processes."""
    student = network(DETECTORS[name])
    torch.save({'state_dict': lively(student).state_dict()}, tmp_path / 'teacher.pth')
    cfg = Config.fromfile(f'{configs_dir()}/baseline/retinanet_r18-w8_digit-scenes.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = 2
        loader.dataset.update(data_root=str(tmp_path / 'data'), num_images=4, image_size=64)
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (64, 64)
    cfg.model = ConfigDict(
        type='shake_mm.SHAKE',
        student=student,
        teachers=dict(config=student, checkpoint=str(tmp_path / 'teacher.pth')),
    )
    if DETECTORS[name] == 'yolox':  # whose hook ends the mosaics
        dataset = cfg.train_dataloader.dataset
        load, mix = dataset.pipeline[:2], [dict(type='Mosaic', img_scale=(32, 32)), *dataset.pipeline[2:]]
        dataset.pipeline = load
        cfg.train_dataloader.dataset = dict(type='MultiImageMixDataset', dataset=dataset, pipeline=mix)
    cfg.custom_hooks = [*hooks_of(name), *OURS]
    cfg.train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=2)
    cfg.update(param_scheduler=None, work_dir=str(tmp_path), log_level='WARNING')
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1)
    state = train(cfg, tmp_path)
    assert ('ema_state_dict' in state) == any(hook.type.endswith('EMAHook') for hook in cfg.custom_hooks)


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_a_classifier_trains_with_the_hooks_of_its_config(name, shake, tmp_path):
    """Averaged weights, exact statistics of BatchNorm, other augmentations for the last epochs."""
    cfg = run_config(shake, tmp_path, epochs=2, samples=32, custom_hooks=[*hooks_of(name), *OURS])
    state = train(cfg, tmp_path)
    assert ('ema_state_dict' in state) == any(hook.type.endswith('EMAHook') for hook in cfg.custom_hooks)
