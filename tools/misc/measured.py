"""What was measured of the package's configs, as the tables on the pages of results have it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

DATA = {
    'ade20k': 'ADE20K',
    'cifar100': 'CIFAR-100',
    'cifar100-okddip': 'CIFAR-100',
    'cityscapes': 'Cityscapes',
    'coco': 'COCO',
    'digit-masks': 'DigitMasks',
    'digit-scenes': 'DigitScenes',
    'digits': 'Digits',
    'digits100': 'DigitPairs',
    'digits100-32px': 'DigitPairs',
    'fashion': 'Fashion-MNIST',
    'fashion-few': 'Fashion-MNIST',
    'fashion100': 'GarmentPairs',
    'garment-scenes': 'GarmentScenes',
    'in1k': 'ImageNet-1k',
    'pictures': 'CustomDataset',
}
"""What a config is trained on, by the end of its name: a known set, or the class that draws it; mim has room for short
names alone."""


class Page(NamedTuple):
    """A page with a section for each pair and, in its table, a row for each method.

    Args:
        data (str): The end of its configs' names.
        task (str): As metafiles call it.
        metrics (dict[str, str]): By column, the metafile's name of a metric.
    """

    data: str
    task: str
    metrics: dict[str, str]


PAGES = {
    'table4_digits100.md': Page('digits100', 'Image Classification', {'top-1 %': 'Top 1 Accuracy'}),
    'detection_digits.md': Page('digit-scenes', 'Object Detection', {'AP': 'box AP', 'AP50': 'box AP50'}),
}
SECTION = re.compile(r'^## (\S+) → (\S+)\n(.*?)(?=^## |\Z)', re.MULTILINE | re.DOTALL)


def training_data(name: str) -> str:
    """What a config is trained on."""
    return DATA[name.rpartition('_')[2]]


def results() -> dict[str, list[dict]]:
    """A metafile's ``Results`` of the configs that were measured, by name: last epoch, mean over the seeds."""
    found: dict[str, list[dict]] = {}
    for file, page in PAGES.items():
        text = (ROOT / 'docs' / file).read_text(encoding='utf-8')
        for teacher, student, section in SECTION.findall(text):
            for row in _rows(section):
                name = _config(row['method'], teacher, student, page.data)
                metrics = {metric: float(row[column].split(' ± ')[0]) for column, metric in page.metrics.items()}
                found[name] = [{'Task': page.task, 'Dataset': DATA[page.data], 'Metrics': metrics}]
    return found


def _rows(section: str) -> Iterator[dict[str, str]]:
    """The rows of a section's table, by title of the column."""
    lines = [line for line in section.splitlines() if line.startswith('|')]
    head, _, *rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    return (dict(zip(head, row, strict=True)) for row in rows)


def _config(method: str, teacher: str, student: str, data: str) -> str:
    """The config that a row is of; detectors that are trained alone have no pair in their name."""
    if method == 'teacher' or (method == 'baseline' and data == 'digit-scenes'):
        return f'{re.sub(r"-(?=r[0-9]+-)", "_", teacher if method == "teacher" else student)}_{data}'
    return f'{method}_{teacher}_{student}_{data}'
