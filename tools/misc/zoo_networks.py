"""Networks of OpenMMLab's zoos as the sweep tries them: their configs, cut down, and a batch that each takes."""

import copy
import importlib
import re
from collections.abc import Iterator, Sequence
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
_HEADS = ('head', 'bbox_head', 'rpn_head', 'roi_head', 'mask_head')
_BRANCHES = ('semantic_head', 'glbctx_head', 'shared_head')
_SMALL = ('nano', 'atto', 'xxs', 'tiny', 't', 'b0', 'm0', 's0', 'xs', 'small', 's', '[a-z]*18', '[a-z]*50')
_INHERITS = re.compile(r"""\A(?!.*head)(?=.*_base_ = \[?\s*['"](\./)?[^/'"]+\.py)""", re.DOTALL)
"""What stands in a config that has the head of another one in its folder."""
_QUIET = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)


def families(task: str) -> list[str]:
    """Names of the folders of configs of a zoo, ``'cls'`` or ``'det'``."""
    return sorted(path.name for path in _configs(task).iterdir() if path.is_dir() and not path.name.startswith('_'))


def networks(task: str, chosen: Sequence[str] | None = None) -> Iterator[tuple[str, dict]]:
    """Name and model of the networks of the zoo, or of some families of it, that are trained with labels.

    Of each family the smallest by its name, and of its others those with a head that no network before had.
    """
    heads: set[Any] = set()
    for family in chosen or families(task):
        first = True
        for path in sorted((_configs(task) / family).rglob('*.py'), key=_size):
            model = _model(task, path) if first or not _INHERITS.search(path.read_text(encoding='utf-8')) else None
            if model is not None and (first or _kinds(model) not in heads):
                first = False
                heads.add(_kinds(model))
                yield path.relative_to(_configs(task)).as_posix(), model


def _model(task: str, path: Path) -> dict | None:
    """The model of a config; None if it is not trained with labels alone, or cannot be read."""
    if 'deploy' in path.parts:  # written for inference
        return None
    try:
        config = Config.fromfile(path)
    except Exception:  # an mmdet config of another library's model
        return None
    model = config.get('model')
    if not isinstance(model, dict) or (model.get('type') == 'ImageClassifier') != (task == 'cls'):
        return None
    if task == 'cls' and not model.get('head'):
        return None
    if 'data_preprocessor' not in model and config.get('data_preprocessor'):
        model['data_preprocessor'] = config.data_preprocessor
    return model.to_dict()


def _kinds(part: Any) -> Any:
    """Types of a network, its head and, in a classifier, its backbone, hashable."""
    if isinstance(part, (list, tuple)):
        return tuple(dict.fromkeys(map(_kinds, part)))
    if not isinstance(part, dict):
        return None
    inner = tuple(_kinds(part[name]) for name in (*_HEADS, *_BRANCHES) if name in part)
    backbone = _kinds(part['backbone']) if part.get('type') == 'ImageClassifier' else None
    kind = part.get('type')
    return (kind if isinstance(kind, str) else getattr(kind, '__name__', None), backbone, *inner)


def _size(path: Path) -> tuple[int, str]:
    """Sorts the files of a family by the size that their names tell, the smallest first."""
    found = [i for i, word in enumerate(_SMALL) if re.search(rf'(?<![a-z]){word}(?![a-z0-9])', path.stem)]
    return min(found, default=len(_SMALL)), path.stem


def candidates(model: dict, task: str) -> Iterator[dict]:
    """The model cut down, then as it is, for where that does not fit; neither reads trained weights."""
    whole = _without_files({'_scope_': PACKAGES[task], **copy.deepcopy(model)})
    if isinstance(whole.get('teacher_config'), str):  # of LD, which names it as from a checkout of mmdet
        whole['teacher_config'] = str(_configs(task).parent / whole['teacher_config'])
    cut = _cut(copy.deepcopy(whole), task)
    yield from [cut, whole] if cut != whole else [whole]


def quiet(network: nn.Module) -> None:
    """Let layers that are random, or see the batch, compute as a frozen teacher's do."""
    for layer in network.modules():
        if isinstance(layer, _QUIET) or type(layer).__name__.startswith(('Drop', 'SyncBN')):
            layer.eval()


def batch(task: str, size: int, classes: int, channels: int, masks: bool = True) -> dict[str, Any]:
    """What a data loader gives: two pictures with one class, or with two boxes, a map of classes and, maybe, masks."""
    generator = torch.Generator().manual_seed(5)
    inputs = [torch.randint(256, (channels, size, size), generator=generator, dtype=torch.uint8) for _ in range(2)]
    sample = _classified if task == 'cls' else _detected
    samples = [sample(size, classes, i) for i in range(2)]
    for each in () if masks or task == 'cls' else samples:
        del each.gt_instances.masks
    return dict(inputs=inputs, data_samples=samples)


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
    sample.proposals = InstanceData(bboxes=boxes.roll(1, 0) * 0.9, scores=torch.ones(2))  # what Fast R-CNN reads
    sample.gt_sem_seg = PixelData(sem_seg=masks.amax(0, keepdim=True).long())
    return sample


def _configs(task: str) -> Path:
    return Path(importlib.import_module(PACKAGES[task]).__file__).parent / '.mim' / 'configs'


def _without_files(node: Any) -> Any:
    """Without the names of files of trained weights, and without what changes a batch as a run goes on."""
    if isinstance(node, dict):
        pretrained = isinstance(node.get('init_cfg'), dict) and node['init_cfg'].get('type') == 'Pretrained'
        drop = ('pretrained', 'teacher_ckpt', 'batch_augments', 'augments', *(['init_cfg'] if pretrained else []))
        kept = {key: value for key, value in node.items() if key not in drop}
        if kept.get('type') == 'SyncBN':  # which asks for several processes
            kept['type'] = 'BN'
        return ConfigDict({key: _without_files(value) for key, value in kept.items()})
    return type(node)(map(_without_files, node)) if isinstance(node, (list, tuple)) else node


def _cut(model: dict, task: str) -> dict:
    """With fewer channels in a ResNet and in the neck and heads, fewer blocks elsewhere, and fewer boxes in a step."""
    for step, names in (('rpn_proposal', ('nms_pre', 'max_per_img')), ('rcnn', ())):
        for config in _listed((model.get('train_cfg') or {}).get(step)):
            config.update({name: 20 for name in names})
            if isinstance(config.get('sampler'), dict) and 'num' in config['sampler']:
                config['sampler']['num'] = 16
    for part in (model.get('encoder'), model.get('decoder')):
        part.update(_shallow(part, task)) if isinstance(part, dict) else None
    backbone = model.get('backbone') or {}
    narrow = backbone.get('type') in _RESNETS and backbone.get('depth', 0) >= 18
    if narrow and (model.get('roi_head') or {}).get('shared_head'):  # a stage of the backbone
        return model
    flat = narrow and backbone['depth'] >= 50 and not backbone.get('dcn') and not backbone.get('plugins')
    if narrow:
        depth = 18 if flat else min(backbone['depth'], 50)
        backbone.update(depth=depth, base_channels=64 // CUT, frozen_stages=-1)
        backbone.update(stem_channels=64 // CUT) if backbone['type'] == 'ResNet' else None
    elif 'stage_channels' in backbone:  # of an Hourglass
        narrow = True
        backbone.update(stage_channels=_narrow(backbone['stage_channels'], True), feat_channel=256 // CUT)
    else:
        backbone.update(_shallow(backbone, task))
    parts = [
        part for key in ('neck', *_HEADS, *_BRANCHES) for part in _listed(model.get(key)) if isinstance(part, dict)
    ]
    for i, part in enumerate(parts):
        kept = {} if narrow or i or 'in_channels' not in part else {'in_channels': part['in_channels']}
        part.update({**_narrow(part), **kept} if narrow or task == 'det' else {})
    for part in [part for part in parts if part.get('in_channels')][:1] if flat else ():
        part['in_channels'] = _narrow(part['in_channels'], True)
    return model


def _narrow(node: Any, cut: bool = False) -> Any:
    """With a fraction of the channels wherever a number of them stands."""
    if isinstance(node, dict):
        return {
            key: _narrow(value, bool(re.search(r'(channels|_dims|num_feats)$', key))) for key, value in node.items()
        }
    if isinstance(node, (list, tuple)):
        return type(node)(_narrow(value, cut) for value in node)
    return node // CUT if cut and isinstance(node, int) and node >= 16 and node % CUT == 0 else node


def _shallow(backbone: dict, task: str) -> dict:
    """Arguments of a backbone that make it one of few blocks, where it or its class states how many there are."""
    kind = importlib.import_module(f'{PACKAGES[task]}.registry').MODELS.get(str(backbone.get('type')))
    known = getattr(kind, 'arch_zoo', None) or getattr(kind, 'arch_settings', None) or {}
    arch = known.get(backbone.get('arch')) if isinstance(backbone.get('arch'), str) else None
    if isinstance(arch, (list, tuple)):  # of an EfficientNet: its layers one by one
        return {}
    found = {key: few for key in ('depths', 'num_layers') if (few := _few((arch or backbone).get(key)))}
    return {'arch': {**arch, **found}} if isinstance(arch, dict) and found else {} if arch else found


def _few(blocks: Any) -> Any:
    """At most two blocks, a stage or in all; None of what is no number of blocks."""
    if isinstance(blocks, (list, tuple)) and all(isinstance(number, int) for number in blocks):
        return [min(2, number) for number in blocks]
    return min(2, blocks) if isinstance(blocks, int) else None


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
