"""Bad inputs: what people configure around a run, each part of which is right by itself."""

from .case import Case
from .site import Site

DATA = 'train_dataloader.dataset'


def _last_batch_of_one(site: Site) -> list[str]:
    connector = dict(type='ReviewFusion')
    of, to = (['student.f3', 'student.pool'], ['teacher0.f3.preact', 'teacher0.pool'])
    terms = dict(review=dict(of=of, to=to, connector=connector, loss=dict(type='HCLLoss')))
    return site.kd({'model.terms': terms, f'{DATA}.num_samples': 33})


def _joined(site: Site) -> list[str]:
    site.write('data/labels.txt', 'class0/0.png 0\nclass1/1.png 7\n')
    names = dict(classes=('class0', 'class1'))
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    folder = dict(type='CustomDataset', data_root=str(site.path / 'data'), metainfo=names, pipeline=pipeline)
    parts = [folder, {**folder, 'ann_file': 'labels.txt'}]
    return site.folder({DATA: dict(type='ConcatDataset', datasets=parts)})


CASES = [
    Case('dataset', 'a last batch of one sample', _last_batch_of_one, 'train_dataloader', 'drop_last=True'),
    Case('dataset', 'a label that the second of two joined sets has', _joined, '1.png', 'num_classes'),
]
