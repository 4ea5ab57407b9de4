"""Bad inputs: what people configure around a run, each part of which is right by itself."""

import cv2
import numpy as np

from .case import Case
from .site import SIZE, Site, classifier_of, state_of

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


def _classes(names: list[str], **spec: object):
    def prepare(site: Site) -> list[str]:
        meta = dict(dataset_meta=dict(classes=names))
        path = site.save(dict(state_dict=state_of(8), meta=meta), 'named.pth')
        return site.kd({'model.teachers.0': dict(config=classifier_of(8), checkpoint=path, **spec)})

    return prepare


def _sixteen_bits(site: Site) -> list[str]:
    def deepen(data) -> None:
        for path in data.rglob('*.png'):
            cv2.imwrite(str(path), np.zeros((SIZE, SIZE), np.uint16))

    load = dict(type='LoadImageFromFile', color_type='unchanged')
    return site.folder({f'{DATA}.pipeline.0': load}, deepen, '--batched')


def _other_views(site: Site) -> list[str]:
    one = dict(type='shake_mm.DigitPairs', num_samples=16, image_size=SIZE, pipeline=[dict(type='PackInputs')])
    other = {**one, 'pipeline': [dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]}
    return site.plain({DATA: dict(type='ConcatDataset', datasets=[one, other])}, '--batched')


def _crops(**changes: object):
    crop = dict(type='RandomResizedCrop', **{'scale': SIZE, **changes})
    return lambda site: site.plain({f'{DATA}.pipeline': [crop, dict(type='PackInputs')]}, '--batched')


def _augmented(kind: str, *policy: dict, **settings: object):
    step = dict(type=kind, policies=[list(policy)] if kind == 'AutoAugment' else list(policy), **settings)
    return lambda site: site.plain({f'{DATA}.pipeline': [step, dict(type='PackInputs')]}, '--batched')


def _gray(site: Site) -> list[str]:
    load = dict(type='LoadImageFromFile', color_type='grayscale')
    step = dict(type='AutoAugment', policies='imagenet')
    return site.folder({f'{DATA}.pipeline': [load, step, dict(type='PackInputs')]}, None, '--batched')


def _of_another_kind(site: Site) -> list[str]:
    inner = dict(type='shake_mm.DigitPairs', num_samples=16, image_size=SIZE, pipeline=[])
    return site.plain({DATA: dict(type='shake_mm.BatchedViews', dataset=inner, augment=dict(type='Mixup'))})


def _holes(site: Site) -> list[str]:
    pipeline = [dict(type='Cutout', shape=4), dict(type='PackInputs')]
    return site.kd({f'{DATA}.pipeline': pipeline}, '--batched', '--cache-teachers', str(site.path / 'caches'))


BY_ITERATIONS = {'train_cfg': dict(type='IterBasedTrainLoop', max_iters=2)}
NAMES = [f'{label:02d}' for label in range(100)]
CASES = [
    Case('mismatch', 'the classes in another order', _classes(NAMES[::-1]), 'teacher0', "classes='by_name'"),
    Case(
        'mismatch',
        'a class that the teacher does not know',
        _classes([*NAMES[1:], 'x'], classes='by_name'),
        "'00'",
        'correct the names',
    ),
    Case('mismatch', 'classes matched in no known way', _classes(NAMES, classes='name'), 'teacher0', "'by_name'"),
    Case(
        'mismatch',
        'classes by names that nothing tells',
        lambda s: s.kd({'model.teachers.0.classes': 'by_name'}),
        'teacher0',
        'list them',
    ),
    Case(
        'config',
        'stages by epochs in a training by iterations',
        lambda s: s.kd({**BY_ITERATIONS, 'model.stages': dict(first=dict(until=1), rest={})}),
        'stages.first',
        'by_epoch=False',
    ),
    Case(
        'config',
        'a warm-up by epochs in a training by iterations',
        lambda s: s.kd({**BY_ITERATIONS, 'model.terms': dict(student_from_teacher=dict(warmup=2))}),
        'terms.student_from_teacher',
        'by_epoch=False',
    ),
    Case(
        'config',
        'epochs that never end',
        lambda s: s.plain({'train_dataloader.sampler': dict(type='InfiniteSampler')}),
        'train_dataloader.sampler',
        'DefaultSampler',
    ),
    Case('image', '16 bits a pixel, batched', _sixteen_bits, 'train_dataloader', 'color_type'),
    Case(
        'command line',
        '--batched of crops by another filter',
        _crops(interpolation='area'),
        'RandomResizedCrop',
        'bilinear',
    ),
    Case('command line', '--batched of crops of no size', _crops(scale=0), 'scale=0', '1 or more'),
    Case(
        'command line',
        '--batched of an operation that is not made for batches',
        _augmented('RandAugment', dict(type='GaussianBlur', radius=1), num_policies=1, magnitude_level=5),
        'RandAugment has a GaussianBlur',
        'leave out --batched',
    ),
    Case(
        'command line',
        '--batched of shears by another filter',
        _augmented('AutoAugment', dict(type='Shear', magnitude=0.1, interpolation='lanczos')),
        "interpolation='lanczos' of Shear",
        "'bicubic'",
    ),
    Case(
        'command line',
        '--batched of rotations with a color of two channels',
        _augmented('AutoAugment', dict(type='Rotate', angle=10.0, pad_val=[1, 2])),
        'pad_val=(1, 2) of Rotate',
        'give one, or three',
    ),
    Case('image', 'gray, augmented in batches', _gray, 'AutoAugment of BatchedViews', "color_type='color'"),
    Case('config', 'an augment of batches that is none', _of_another_kind, "augment.type='Mixup'", "'RandAugment'"),
    Case('command line', 'a cache of images with holes', _holes, 'cutout', 'leave out `cache`'),
    Case('command line', '--batched of joined sets with different views', _other_views, '--batched', 'all the same'),
    Case('dataset', 'a last batch of one sample', _last_batch_of_one, 'train_dataloader', 'drop_last=True'),
    Case('dataset', 'a label that the second of two joined sets has', _joined, '1.png', 'num_classes'),
]
