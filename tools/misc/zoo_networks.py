"""Networks of OpenMMLab's zoos as the sweep tries them: their configs, cut down, and a batch that each takes."""

import copy
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData, PixelData
from torch import nn

PACKAGES = {'cls': 'mmpretrain', 'det': 'mmdet'}
SIZES = {'cls': (32, 64, 128, 224, 256, 299, 384), 'det': (128, 256, 320)}
CUT = 4
"""ResNets get this many times fewer channels."""
_RESNETS = ('ResNet', 'ResNetV1d')
_SMALL = ('nano', 'atto', 'xxs', 'tiny', 't', 'b0', 'm0', 's0', 'xs', 'small', 's', '[a-z]*18', '[a-z]*50')
_QUIET = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


def families(task: str) -> list[str]:
    """Names of the folders of configs of a zoo, ``'cls'`` or ``'det'``."""
    return sorted(path.name for path in _configs(task).iterdir() if path.is_dir() and not path.name.startswith('_'))


def config_of(task: str, family: str) -> tuple[str, dict] | None:
    """The smallest config of a family, by its name, that has a model with a head, and that model; None without one."""
    root = _configs(task)
    for path in sorted((root / family).glob('*.py'), key=_size):
        if 'fast-rcnn' in path.name:  # it asks for proposals that another network made
            continue
        try:
            config = Config.fromfile(path)
        except Exception:  # an mmdet config of another library's model
            continue
        model = config.get('model')
        if isinstance(model, dict) and (
            task == 'det' or (model.get('type') == 'ImageClassifier' and model.get('head'))
        ):
            if 'data_preprocessor' not in model and config.get('data_preprocessor'):
                model['data_preprocessor'] = config.data_preprocessor
            return path.relative_to(root).as_posix(), model.to_dict()
    return None


def _size(path: Path) -> tuple[int, str]:
    """Sorts the files of a family by the size that their names tell, the smallest first."""
    found = [i for i, word in enumerate(_SMALL) if re.search(rf'(?<![a-z]){word}(?![a-z0-9])', path.stem)]
    return min(found, default=len(_SMALL)), path.stem


def candidates(model: dict, task: str) -> Iterator[dict]:
    """The model cut down, then as it is, for where that does not fit; neither reads trained weights."""
    whole = _without_files({'_scope_': PACKAGES[task], **copy.deepcopy(model)})
    cut = _cut(copy.deepcopy(whole))
    yield from [cut, whole] if cut != whole else [whole]


def quiet(network: nn.Module) -> None:
    """Let layers that are random, or see the batch, compute as a frozen teacher's do."""
    for layer in network.modules():
        if isinstance(layer, _QUIET) or type(layer).__name__.startswith(('Drop', 'SyncBN')):
            layer.eval()


def batch(task: str, size: int, classes: int, channels: int) -> dict[str, Any]:
    """What a data loader gives: two pictures with one class, or with two boxes, masks and a map of classes."""
    generator = torch.Generator().manual_seed(5)
    inputs = [torch.randint(256, (channels, size, size), generator=generator, dtype=torch.uint8) for _ in range(2)]
    sample = _classified if task == 'cls' else _detected
    return dict(inputs=inputs, data_samples=[sample(size, classes, i) for i in range(2)])


def _classified(size: int, classes: int, number: int) -> Any:
    from mmpretrain.structures import DataSample

    return DataSample(metainfo=dict(img_shape=(size, size))).set_gt_label(number % classes)


def _detected(size: int, classes: int, number: int) -> Any:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    meta = dict(img_shape=(size, size), ori_shape=(size, size), pad_shape=(size, size), scale_factor=(1.0, 1.0))
    sample = DetDataSample(metainfo={**meta, 'batch_input_shape': (size, size), 'img_id': number})
    boxes = torch.tensor([[0.1, 0.1, 0.45, 0.5], [0.4, 0.2, 0.95, 0.8]]) * size
    masks = torch.zeros(2, size, size, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist()):
        mask[top:bottom, left:right] = 1
    labels = torch.tensor([number % classes, (number + 1) % classes])
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels, masks=BitmapMasks(masks.numpy(), size, size))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    sample.gt_sem_seg = PixelData(sem_seg=masks.amax(0, keepdim=True).long())
    return sample


def _configs(task: str) -> Path:
    return Path(importlib.import_module(PACKAGES[task]).__file__).parent / '.mim' / 'configs'


def _without_files(node: Any) -> Any:
    """Without the names of files of trained weights, and without what changes a batch as a run goes on."""
    if isinstance(node, dict):
        pretrained = isinstance(node.get('init_cfg'), dict) and node['init_cfg'].get('type') == 'Pretrained'
        drop = ('pretrained', 'batch_augments', *(['init_cfg'] if pretrained else []))
        kept = {key: value for key, value in node.items() if key not in drop}
        return ConfigDict({key: _without_files(value) for key, value in kept.items()})
    return type(node)(map(_without_files, node)) if isinstance(node, (list, tuple)) else node


def _cut(model: Any) -> Any:
    """With fewer channels in a ResNet and what reads it, fewer blocks, and fewer boxes in a step."""
    backbone, neck = model.get('backbone') or {}, model.get('neck')
    for step, names in (('rpn_proposal', ('nms_pre', 'max_per_img')), ('rcnn', ())):
        for config in _listed((model.get('train_cfg') or {}).get(step)):
            config.update({name: 20 for name in names})
            if isinstance(config.get('sampler'), dict) and 'num' in config['sampler']:
                config['sampler']['num'] = 16
    if backbone.get('type') in _RESNETS and backbone.get('depth', 0) >= 18:
        readers = [part for part in (*_listed(neck), model.get('head')) if isinstance(part, dict)]
        readable = [part for part in readers if part.get('in_channels')]
        if model.get('roi_head', {}).get('shared_head') or not readable:
            return model
        backbone.update(depth=min(backbone['depth'], 50), base_channels=64 // CUT, frozen_stages=-1)
        backbone.update(stem_channels=64 // CUT) if backbone['type'] == 'ResNet' else None
        first = readable[0]
        many = isinstance(first['in_channels'], (list, tuple))
        first['in_channels'] = [c // CUT for c in first['in_channels']] if many else first['in_channels'] // CUT
    return model


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
