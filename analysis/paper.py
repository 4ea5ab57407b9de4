"""The figures of the SHAKE paper (Li and Jin, NeurIPS 2022), under the names that configs have.

``paper.yaml`` beside this file holds every figure of the paper and its supplement as printed there.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

PAIRS = {
    'wrn40_2/wrn16_2': 'wrn-40-2_wrn-16-2',
    'wrn40_2/wrn40_1': 'wrn-40-2_wrn-40-1',
    'resnet110/resnet20': 'resnet110_resnet20',
    'resnet110/resnet32': 'resnet110_resnet32',
    'resnet32x4/resnet8x4': 'resnet32x4_resnet8x4',
    'vgg13/vgg8': 'vgg13_vgg8',
    'resnet50/mobilenetv2': 'resnet50_mobilenetv2',
    'resnet32x4/shufflenetv1': 'resnet32x4_shufflev1',
    'resnet32x4/shufflenetv2': 'resnet32x4_shufflev2',
    # Table 1 names the student first.
    'resnet20_resnet110': 'resnet110_resnet20',
    'wrn16_2_wrn40_2': 'wrn-40-2_wrn-16-2',
    'vgg8_vgg13': 'vgg13_vgg8',
}
"""Teacher and student as in ``paper.yaml``, and as in the names of configs."""

METHODS = {'student': 'baseline', 'kd': 'kd-crd', 'shake_share': 'shake'}
"""Methods that configs name otherwise. Table 4's KD is the CRD benchmark's, and Table 1 repeats its figures."""


@cache
def figures() -> dict[str, Any]:
    """Everything, under the names of ``paper.yaml``, e.g. ``figures()['supplement']['table5']['vgg16']``; read only."""
    return yaml.safe_load(Path(__file__).with_name('paper.yaml').read_text(encoding='utf-8'))


DETECTORS = {'faster_rcnn': 'faster-rcnn', 'retinanet': 'retinanet'}
"""Detectors as in ``paper.yaml``, and as in the names of configs."""


def method_name(key: str) -> str:
    """The method as in the names of configs: ``'kd_dagger'`` is ``'kd-dagger'``."""
    return METHODS.get(key, key.replace('_', '-'))


def table4() -> dict[str, dict[str, float]]:
    """Supplement, Table 4: top-1 accuracy in % on CIFAR-100.

    Returns:
        dict[str, dict[str, float]]: By method and pair, in the table's order: ``table4()['shake']['vgg13_vgg8']``. The
        networks' own accuracies stand under ``'teacher'`` and ``'baseline'``.
    """
    table = dict(figures()['supplement']['table4'])
    pairs = [PAIRS[pair] for pair in table.pop('pairs')]
    return {method_name(key): dict(zip(pairs, row, strict=True)) for key, row in table.items()}


def table1() -> dict[str, dict[str, dict[str, float | None]]]:
    """Supplement, Table 1: cost of training and gap to the teacher on CIFAR-100.

    Returns:
        dict[str, dict[str, dict[str, float | None]]]: By pair, method and column. Columns are ``time`` (seconds on one
        RTX 2080 Ti), ``s_top1`` and ``t_top1`` (student's and (proxy) teacher's accuracy in %) and ``ts_gap`` (nats).
    """
    table = dict(figures()['supplement']['table1'])
    columns = table.pop('columns')
    return {
        PAIRS[pair]: {method_name(key): dict(zip(columns, row, strict=True)) for key, row in methods.items()}
        for pair, methods in table.items()
    }


def coco() -> dict[str, dict[str, dict[str, float]]]:
    """Main paper, Table 4: ResNet-101 teaches ResNet-50 on COCO.

    Returns:
        dict[str, dict[str, dict[str, float]]]: By detector, method and column, ``coco()['retinanet']['shake']['AP']``.
        Columns are ``AP``, ``AP_L``, ``AP_M`` and ``AP_S`` in points; the networks' own figures stand under
        ``'teacher'`` and ``'baseline'``.
    """
    names = {'teacher_r101': 'teacher', 'student_r50': 'baseline', 'kd': 'kd'}
    return {
        DETECTORS[detector]: {
            names.get(key, method_name(key)): dict(zip(('AP', 'AP_L', 'AP_M', 'AP_S'), row, strict=True))
            for key, row in methods.items()
        }
        for detector, methods in figures()['main']['table4_coco'].items()
    }
