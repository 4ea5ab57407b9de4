"""Where a bad input stands: a folder with a good run, of which a case breaks one thing."""

import copy
import functools
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from shake_mm.registry import MODELS
from tests.conftest import classifier
from tests.support.detectors import detector
from tests.support.runs import run_config

GONE = object()
"""Stands for a key that is taken out of the config."""
CLASSES = 100
SIZE = 16


class Site:
    """A folder, and what can be put into it.

    Args:
        path (Path): The folder; the run's is ``path / 'earlier'``.
        patch (MonkeyPatch): For what lies outside the folder, such as environment variables.
    """

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.path, self.patch = path, patch
        self.work = path / 'earlier'
        self.keep: list[Any] = []  # what must live as long as the case

    def write(self, name: str, content: str | bytes) -> str:
        """Put a file into the folder; returns its path."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def save(self, content: Any, name: str = 'weights.pth') -> str:
        """Save an object as a checkpoint is."""
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return self.write(name, buffer.getvalue())

    def config(self, base: dict, changes: dict[str, Any] | None = None) -> str:
        """Write a config; changes are dotted keys, in which a number is a place in a list."""
        config = copy.deepcopy(base)
        for key, value in (changes or {}).items():
            *way, last = key.split('.')
            part: Any = config
            for step in way:
                part = part[int(step) if isinstance(part, list) else step]
            if value is GONE:
                del part[last]
            else:
                part[int(last) if isinstance(part, list) else last] = value
        # Loggers live as long as the process, so each run must have a name of its own.
        config['experiment_name'] = self.path.name
        return self.write('run.py', ''.join(f'{key} = {value!r}\n' for key, value in config.items()))

    def argv(self, base: dict, changes: dict[str, Any] | None = None, *options: str) -> list[str]:
        """The command line of ``tools/train.py``."""
        return [self.config(base, changes), '--work-dir', str(self.work), *options]

    def plain(self, changes: dict[str, Any] | None = None, *options: str) -> list[str]:
        """Train a small classifier of two-digit images."""
        return self.argv(_run(classifier_of(), self.path), changes, *options)

    def kd(self, changes: dict[str, Any] | None = None, *options: str) -> list[str]:
        """Distill it, from a teacher whose checkpoint is ``teacher.pth``."""
        teacher = dict(config=classifier_of(8), checkpoint=self.write('teacher.pth', weights_of(8)))
        model = dict(type='shake_mm.KD', student=classifier_of(), teachers=[teacher])
        return self.argv(_run(model, self.path), changes, *options)

    def folder(self, changes: dict[str, Any] | None = None, break_it: Any = None, *options: str) -> list[str]:
        """Train on a folder ``data`` of four images in two classes; ``break_it`` is called with it."""
        data = self.path / 'data'
        for i in range(4):
            self.image(f'data/class{i % 2}/{i}.png')
        if break_it is not None:
            break_it(data)
        base = _run(classifier_of(classes=2), self.path)
        for split in ('train', 'val', 'test'):
            base[f'{split}_dataloader']['batch_size'] = 2
            base[f'{split}_dataloader']['dataset'] = dict(
                type='CustomDataset',
                data_root=str(data),
                pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
            )
        return self.argv(base, changes, *options)

    def scenes(self, changes: dict[str, Any] | None = None, break_it: Any = None, model: Any = None) -> list[str]:
        """Train a small detector on COCO's format; ``break_it`` is called with the content of ``data/coco.json``."""
        content = coco()
        if break_it is not None:
            changed = break_it(content)
            content = content if changed is None else changed
        text = content if isinstance(content, (str, bytes)) else json.dumps(content)
        self.write('data/coco.json', text)
        for i in range(2):
            self.image(f'data/{i}.png', 64)
        return self.argv(_detection(self.path, model), changes)

    def detection_kd(self, teacher: dict, changes: dict[str, Any] | None = None, **spec: Any) -> list[str]:
        """Distill a small RetinaNet from a teacher."""
        model = MODELS.build(copy.deepcopy(teacher))
        spec = dict(config=teacher, checkpoint=self.save(model.state_dict(), 'teacher.pth'), **spec)
        model = dict(type='shake_mm.KD', student=retinanet(), teachers=[spec])
        return self.scenes(changes, model=model)

    def image(self, name: str, size: int = SIZE, pixels: np.ndarray | None = None) -> str:
        """Put an image into the folder."""
        if pixels is None:
            pixels = np.random.default_rng(0).integers(256, size=(size, size, 3), dtype=np.uint8)
        return self.write(name, cv2.imencode(Path(name).suffix, pixels)[1].tobytes())

    def edit(self, name: str, change: Any) -> None:
        """Replace the bytes of a file by what ``change`` makes of them."""
        self.write(name, change((self.path / name).read_bytes()))


def coco() -> dict:
    """Two images, two boxes each, five categories."""
    boxes = ([8, 6, 18, 24], [30, 10, 30, 36])
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', height=64, width=64) for i in range(2)],
        annotations=[
            dict(id=1 + 2 * i + j, image_id=i, category_id=i + j, bbox=list(box), area=box[2] * box[3], iscrowd=0)
            for i in range(2)
            for j, box in enumerate(boxes)
        ],
        categories=[dict(id=i, name=f'thing{i}') for i in range(5)],
    )


def weights_of(channels: int, **kwargs: Any) -> bytes:
    """A checkpoint of the classifier."""
    buffer = io.BytesIO()
    torch.save(dict(state_dict=state_of(channels, **kwargs), meta={}), buffer)
    return buffer.getvalue()


@functools.cache
def state_of(channels: int = 6, classes: int = CLASSES) -> dict[str, torch.Tensor]:
    """Weights of the classifier."""
    torch.manual_seed(0)
    return MODELS.build(classifier(channels, classes)).state_dict()


def classifier_of(channels: int = 6, classes: int = CLASSES) -> dict:
    """Config of the classifier."""
    return classifier(channels, classes)


def _run(model: dict, path: Path) -> dict:
    config = run_config(model, path / 'earlier', samples=32)._cfg_dict.to_dict()
    if not model['type'].startswith('shake_mm.'):
        config['custom_hooks'] = []
    return config


def retinanet(classes: int = 5, **head: Any) -> dict:
    """Config of the detector."""
    return detector('retinanet', classes=classes, **head).to_dict()


def _detection(path: Path, model: dict | None) -> dict:
    base = _run(model or retinanet(), path)
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs'),
    ]
    dataset = dict(
        type='CocoDataset',
        data_root=str(path / 'data'),
        ann_file='coco.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=tuple(f'thing{i}' for i in range(5))),
        filter_cfg=dict(filter_empty_gt=True, min_size=8),
        pipeline=pipeline,
    )
    loader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dataset)
    gone = ('val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator', 'val_cfg', 'test_cfg')
    base.update(default_scope='mmdet', train_dataloader=loader, custom_hooks=[], **dict.fromkeys(gone))
    base['train_cfg'] = dict(by_epoch=True, max_epochs=1)
    return base
