"""Detectors as the tests need them: of their configs' architecture, but thin, without weights, and a batch for them."""

import copy
from functools import cache

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

from shake_mm.members import MemberSpec
from shake_mm.registry import MODELS

from .cells import CONFIGS

STAGES = (256, 512, 1024, 2048)
"""Channels of the stages of ResNet-50 and ResNet-101."""

CHANNELS = ('in_channels', 'feat_channels', 'out_channels', 'conv_out_channels')


@cache
def _read(name):
    return Config.fromfile(CONFIGS / name)


def load(name):
    """A config below ``configs``."""
    return copy.deepcopy(_read(name))


def model_of(name):
    """The model dict of a package's config, e.g. ``'mmdet::atss/atss_r50_fpn_1x_coco.py'``."""
    return ConfigDict(MemberSpec.parse('teacher0', name).model)


def thin(model, width=8):
    """Exchange the backbone for one of ``width`` channels, neck and heads for some of 32; places and classes stay."""
    _forget_weights(model)
    if model.backbone.type in ('CSPDarknet', 'CSPNeXt'):
        model.backbone.update(deepen_factor=0.1, widen_factor=width / 64)
        model.neck.update(in_channels=[4 * width, 8 * width, 16 * width], num_csp_blocks=1)
    else:
        first = STAGES[0] if model.backbone.depth > 34 else 64
        model.backbone.update(depth=18, base_channels=width)
        model.neck.in_channels = [width * channels // first for channels in model.neck.in_channels]
    if 'decoder' in model:  # of a DETR, whose parts are as wide as its encoder
        model.encoder.num_layers = model.decoder.num_layers = 1
        model.num_queries = 20
        return model
    for part in ('neck', 'bbox_head', 'rpn_head', 'roi_head'):
        _narrow(model.get(part))
    return model


def _forget_weights(config):
    """Nothing is downloaded."""
    for part in config.values() if isinstance(config, dict) else config:
        if isinstance(part, (dict, list)):
            _forget_weights(part)
    if isinstance(config, dict) and config.get('init_cfg') and dict(config['init_cfg']).get('type') == 'Pretrained':
        config['init_cfg'] = None


def _narrow(config):
    for key, value in config.items() if isinstance(config, dict) else ():
        if key in CHANNELS and isinstance(value, int):
            config[key] = 64 if value == 1024 else 32
        elif key == 'fc_out_channels':
            config[key] = 64
        for part in value if isinstance(value, list) else [value]:
            _narrow(part)


def built(model):
    """A network with random weights."""
    network = MODELS.build(ConfigDict(copy.deepcopy(model)))
    network.init_weights()
    return network


def distiller(cfg):
    """The distiller of a config, of thin detectors, the teacher's backbone wider than the student's."""
    cfg.model.student = thin(cfg.model.student)
    teachers = cfg.model.get('teachers', [])
    for teacher in [teachers] if isinstance(teachers, dict) else teachers:
        teacher.pop('checkpoint')
        teacher.config = built(thin(model_of(teacher.config), 16))
    for term in cfg.model.get('terms', {}).values():
        if 'student_channels' in term.get('connector', {}):
            term.connector.update(student_channels=32, teacher_channels=32)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.train()


def batch(size=64, masks=False):
    """Two images, one smaller, with two objects each, and their masks where asked for."""
    numbers = torch.Generator().manual_seed(0)
    data = {'inputs': [], 'data_samples': []}
    for height in (size, size - 16):
        boxes = torch.tensor([[8.0, 6.0, 30.0, 36.0], [20.0, 10.0, 60.0, 44.0]])
        sample = DetDataSample(
            metainfo=dict(img_shape=(height, size), ori_shape=(height, size), scale_factor=(1.0, 1.0))
        )
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([3, 7]))
        if masks:
            sample.gt_instances.masks = BitmapMasks(np.ones((2, height, size), dtype=np.uint8), height, size)
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        data['inputs'].append(torch.randint(256, (3, height, size), dtype=torch.uint8, generator=numbers))
        data['data_samples'].append(sample)
    return data
