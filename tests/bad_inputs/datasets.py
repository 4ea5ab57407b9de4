"""Bad inputs: data sets."""

import pickle
import shutil

from .case import Case
from .site import GONE, Site

DATA = 'train_dataloader.dataset'


def _cifar(damage: bool):
    def prepare(site: Site) -> list[str]:
        root = site.path / 'cifar'
        root.mkdir()
        if damage:
            batches = ('train', 'test', 'meta')
            for name in batches:
                site.write(f'cifar/cifar-100-python/{name}', pickle.dumps({'fine_labels': []}))
        dataset = dict(type='CIFAR100', data_root=str(root), download=False, pipeline=[dict(type='PackInputs')])
        return site.plain({DATA: dataset})

    return prepare


def _only_files(data) -> None:
    for folder in ('class0', 'class1'):
        for path in (data / folder).iterdir():
            path.rename(data / path.name)
        (data / folder).rmdir()


def _no_images(data) -> None:
    for path in data.rglob('*.png'):
        path.rename(path.with_suffix('.npy'))


def _crd(samples: int):
    terms = dict(
        crd=dict(
            of='student.pool',
            to='teacher0.pool',
            connector=dict(type='Embedding', out_channels=4),
            to_connector=dict(type='Embedding', out_channels=4),
            loss=dict(type='CRDLoss', dim=4),
        )
    )
    return {'model.terms': terms, 'model.num_samples': samples}


def _contrast(site: Site) -> list[str]:
    inner = dict(type='shake_mm.DigitPairs', num_samples=32, image_size=16, pipeline=[dict(type='PackInputs')])
    return site.kd({**_crd(20), DATA: dict(type='shake_mm.ContrastDataset', dataset=inner, negatives=8)})


CASES = [
    Case('dataset', 'the folder does not exist', lambda s: s.folder(break_it=shutil.rmtree), 'data', 'correct'),
    Case('dataset', 'images outside of class folders', lambda s: s.folder(break_it=_only_files), 'data', 'folder'),
    Case('dataset', 'no file of a known kind', lambda s: s.folder(break_it=_no_images), 'data', 'correct'),
    Case('dataset', 'CIFAR is not there', _cifar(False), 'cifar', 'download'),
    Case('dataset', 'CIFAR is damaged', _cifar(True), 'cifar', 'download'),
    Case('dataset', 'unknown split', lambda s: s.plain({f'{DATA}.split': 'trian'}), 'trian', "use 'train' or 'val'"),
    Case('dataset', 'no samples', lambda s: s.plain({f'{DATA}.num_samples': 0}), 'num_samples', 'use 1 or more'),
    Case(
        'dataset',
        'more samples than there are',
        lambda s: s.plain({f'{DATA}.type': 'shake_mm.Digits', f'{DATA}.num_samples': 2000}),
        'num_samples=2000',
        'use fewer',
    ),
    Case(
        'dataset',
        'a class twice',
        lambda s: s.plain({f'{DATA}.type': 'shake_mm.Digits', f'{DATA}.digits': [3, 3]}),
        'digits=[3, 3] of Digits',
        'each once',
    ),
    Case('dataset', 'images too small to draw', lambda s: s.plain({f'{DATA}.image_size': 4}), 'image_size', 'use 16'),
    Case(
        'dataset',
        'more classes than the head',
        lambda s: s.plain({'model.head.num_classes': 10}),
        'num_classes',
        'set',
    ),
    Case(
        'dataset',
        'less samples than a batch',
        lambda s: s.plain({'train_dataloader.batch_size': 64, 'train_dataloader.drop_last': True}),
        'train_dataloader',
        'batch_size',
    ),
    Case(
        'dataset',
        'a pipeline that packs nothing',
        lambda s: s.plain({f'{DATA}.pipeline': []}),
        'pipeline',
        'PackInputs',
    ),
    Case(
        'dataset',
        'unknown transform',
        lambda s: s.plain({f'{DATA}.pipeline.0.type': 'PackInput'}),
        'PackInput',
        'did you mean PackInputs',
    ),
    Case(
        'dataset',
        'a transform that needs what no earlier one made',
        lambda s: s.plain({f'{DATA}.pipeline': [dict(type='LoadImageFromFile'), dict(type='PackInputs')]}),
        'pipeline',
        'fix',
    ),
    Case('dataset', 'no data set', lambda s: s.plain({DATA: GONE}), 'train_dataloader.dataset', 'add'),
    Case('dataset', 'contrasts without a ContrastDataset', lambda s: s.kd(_crd(32)), 'contrast_idx', 'ContrastDataset'),
    Case('dataset', 'a memory smaller than the set', _contrast, 'num_samples', 'set'),
    Case(
        'dataset',
        'indices that leave nothing',
        lambda s: s.plain({f'{DATA}.indices': 0}),
        'train_dataloader.dataset',
        'is empty',
    ),
]
