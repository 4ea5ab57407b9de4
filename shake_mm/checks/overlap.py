"""Whether the validation images of a run are its training images."""

import hashlib
import os.path as osp
from collections.abc import Iterator
from logging import WARNING
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

SAMPLE = 64
"""Validation images that are looked for."""

SEARCHED = 20_000
"""Training images, at most, among which they are looked for."""

READ = 16
"""Files of each set whose content is compared: copies have other paths."""


def warn_of_overlap(train: Any, val: Any) -> None:
    """Warn where most of a sample of the validation images are among the training images.

    Compared are paths of files, and fingerprints of images that are in memory and of some files.

    Args:
        train (Dataset): The training data.
        val (Dataset): The validation data.
    """
    wanted = set(_names(val, SAMPLE))
    found = wanted & set(_names(train, SEARCHED))
    if not wanted or 2 * len(found) <= len(wanted):
        held = set(_contents(val))
        copies = held & set(_contents(train))
        if not held or 2 * len(copies) <= len(held):
            return
        wanted, found = held, copies
    print_log(
        f'val_dataloader.dataset: {len(found)} of {len(wanted)} validation images that were looked at are training '
        'images, so that the metrics do not tell what the model makes of new ones: correct `split`, `ann_file` or '
        '`data_prefix`, unless it is meant.',
        'current',
        WARNING,
    )


def _names(dataset: Any, number: int) -> Iterator[str]:
    """A path or a fingerprint of each of so many images, evenly spaced."""
    for info in _infos(dataset, number):
        if isinstance(info.get('img'), np.ndarray):
            yield _fingerprint(info['img'].tobytes())
        elif isinstance(info.get('img_path'), str):
            yield osp.realpath(info['img_path'])


def _contents(dataset: Any) -> Iterator[str]:
    """Fingerprints of some files."""
    for info in _infos(dataset, READ):
        path = info.get('img_path')
        if isinstance(path, str) and osp.isfile(path):
            yield _fingerprint(Path(path).read_bytes())


def _infos(dataset: Any, number: int) -> Iterator[dict]:
    if not hasattr(dataset, 'get_data_info') or not len(dataset):
        return
    for position in np.unique(np.linspace(0, len(dataset) - 1, min(number, len(dataset))).astype(int)).tolist():
        info = dataset.get_data_info(position)
        if isinstance(info, dict):
            yield info


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
