"""Bad inputs: annotations, of detection (COCO's format) and of classification."""

import json
import pickle
from collections.abc import Callable
from typing import Any

from .case import Case
from .site import Site

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


def _box(**changes: Any) -> Callable[[Site], list[str]]:
    """One annotation is changed."""

    def break_it(content: dict) -> None:
        content['annotations'][0].update(changes)

    return lambda site: site.scenes(break_it=break_it)


def _without(part: str, key: str | None = None) -> Callable[[Site], list[str]]:
    """A part is missing, or a key in the first entry of it."""

    def break_it(content: dict) -> None:
        if key is None:
            del content[part]
        else:
            del content[part][0][key]

    return lambda site: site.scenes(break_it=break_it)


def _file(text: str) -> Callable[[Site], list[str]]:
    return lambda site: site.scenes(break_it=lambda content: text)


def _same_image(content: dict) -> None:
    content['images'][1]['id'] = 0


def _no_boxes(content: dict) -> None:
    content['annotations'] = []


def _listing(*lines: str) -> Callable[[Site], list[str]]:
    """Images of a classifier, listed with their labels."""

    def prepare(site: Site) -> list[str]:
        listing = site.write('list.txt', ''.join(f'{line}\n' for line in lines))
        return site.folder(
            {'train_dataloader.dataset.ann_file': listing, 'train_dataloader.dataset.classes': ['a', 'b']}
        )

    return prepare


def _sets(content: str) -> Callable[[Site], list[str]]:
    """A data set in mmengine's own format."""

    def prepare(site: Site) -> list[str]:
        dataset = dict(type='mmpretrain.BaseDataset', ann_file=site.write('list.json', content), pipeline=PIPELINE)
        return site.folder({'train_dataloader.dataset': dataset})

    return prepare


def _file_of_sets(name: str, content: str | bytes) -> Callable[[Site], list[str]]:
    """A data set in mmengine's own format, in another kind of file."""

    def prepare(site: Site) -> list[str]:
        dataset = dict(type='mmpretrain.BaseDataset', ann_file=site.write(name, content), pipeline=PIPELINE)
        return site.folder({'train_dataloader.dataset': dataset})

    return prepare


_UNLABELED = json.dumps(
    dict(
        metainfo=dict(classes=['a', 'b']),
        data_list=[dict(img_path='data/class0/0.png', gt_label=0), dict(img_path='data/class1/1.png')],
    )
)


def _tenfold(part: str) -> str:
    """Nine names, each of which stands for ten times the one before."""
    return ''.join(f'a{i + 1}: &a{i + 1} {part.format(",".join([f"*a{i}"] * 10))}\n' for i in range(9))


CASES = [
    Case(
        'annotation',
        'the file does not exist',
        lambda s: s.scenes({'train_dataloader.dataset.ann_file': 'coc.json'}),
        'coc.json',
        'correct',
    ),
    Case('annotation', 'broken JSON', _file('{"images": ['), 'coco.json', 'fix'),
    Case('annotation', 'empty file', _file(''), 'coco.json', 'fix'),
    Case('annotation', 'a list where a dict belongs', _file('[]'), 'coco.json', 'fix'),
    Case('annotation', 'no images', _without('images'), "'images'", 'add'),
    Case('annotation', 'no annotations', _without('annotations'), 'is empty', 'correct'),
    Case('annotation', 'no categories', _without('categories'), "'categories'", 'add'),
    Case('annotation', 'an image without a name', _without('images', 'file_name'), "'file_name'", 'add'),
    Case('annotation', 'an image without a height', _without('images', 'height'), "'height'", 'add'),
    Case('annotation', 'a box without an image', _without('annotations', 'image_id'), "'image_id'", 'add'),
    Case('annotation', 'a box that is NaN', _box(bbox=[8, 6, float('nan'), 24]), 'annotation 1', 'fix'),
    Case('annotation', 'a box of negative width', _box(bbox=[26, 6, -18, 24]), 'annotation 1', 'x, y, width, height'),
    Case('annotation', 'a box of three numbers', _box(bbox=[8, 6, 18]), 'annotation 1', 'x, y, width, height'),
    Case('annotation', 'a box of words', _box(bbox=['8', '6', '18', '24']), 'annotation 1', 'x, y, width, height'),
    Case('annotation', 'unknown category', _box(category_id=17), 'category_id 17', 'fix'),
    Case('annotation', 'unknown image', _box(image_id=9), 'image_id 9', 'fix'),
    Case('annotation', 'two boxes of one id', _box(id=2), 'annotation', 'id'),
    Case('annotation', 'two images of one id', lambda s: s.scenes(break_it=_same_image), 'images', 'id'),
    Case('annotation', 'no boxes at all', lambda s: s.scenes(break_it=_no_boxes), 'is empty', 'correct'),
    Case(
        'annotation',
        'classes of other names',
        lambda s: s.scenes({'train_dataloader.dataset.metainfo': dict(classes=('cat', 'dog'))}),
        "'cat'",
        'metainfo.classes',
    ),
    Case(
        'annotation',
        'more categories than the head has classes',
        lambda s: s.scenes({'model.bbox_head.num_classes': 1}),
        'num_classes',
        'set',
    ),
    Case('annotation', 'a label that is no number', _listing('class0/0.png zero'), 'list.txt', 'fix'),
    Case('annotation', 'a line without a label', _listing('class0/0.png'), 'list.txt', 'fix'),
    Case('annotation', 'a label out of range', _listing('class0/0.png 5', 'class1/1.png 0'), 'label 5', 'fix'),
    Case('annotation', 'a negative label', _listing('class0/0.png -1', 'class1/1.png 0'), 'label -1', 'fix'),
    Case('annotation', 'an empty list', _listing(), 'list.txt', 'correct'),
    Case('annotation', 'no data_list', _sets('{"metainfo": {}}'), 'list.json', 'data_list'),
    Case(
        'annotation',
        'no labels',
        _sets('{"metainfo": {}, "data_list": [{"img_path": "data/class0/0.png"}]}'),
        'gt_label',
        'add it to the annotations',
    ),
    Case('annotation', 'a pickle', _file_of_sets('list.pkl', pickle.dumps({})), 'list.pkl is a pickle', 'JSON'),
    Case(
        'annotation',
        'YAML with objects',
        _file_of_sets('list.yaml', 'a: !!python/name:os.system'),
        'list.yaml',
        'write it',
    ),
    Case('annotation', 'YAML that holds itself', _file_of_sets('list.yml', 'a: &a [*a]'), 'holds itself', 'write it'),
    Case('annotation', 'YAML nested deeply', _file_of_sets('list.yml', '[' * 50_000), 'nested too deeply', 'write it'),
    Case(
        'annotation',
        'YAML that unfolds without end',
        _file_of_sets('list.yaml', 'a0: &a0 [x]\n' + _tenfold('[{}]')),
        'list.yaml',
        'unfold without end',
    ),
    Case(
        'annotation',
        'YAML that merges itself without end',
        _file_of_sets('list.yaml', 'a0: &a0 {x: 1}\n' + _tenfold('{{<<: [{}]}}')),
        'list.yaml',
        'unfold without end',
    ),
    Case(
        'annotation',
        'YAML with a number to the base of 60',
        _file_of_sets('list.yaml', 'a: 1' + ':59' * 100_000),
        'list.yaml',
        'thousands of digits',
    ),
    Case('annotation', 'YAML with no number', _file_of_sets('list.yaml', 'a: !!int ""'), 'list.yaml', 'YAML'),
    Case('annotation', 'YAML that is nested deeply', _file_of_sets('list.yaml', '- ' * 5000), 'list.yaml', 'deeply'),
    Case('annotation', 'a box of 400 digits', _box(bbox=[0, 0, 10**400, 5]), 'annotation 1', 'finite numbers'),
    Case('annotation', 'JSON that is nested deeply', _file('[' * 100_000), 'coco.json', 'fix'),
    Case('annotation', 'a sample without a label', _file_of_sets('list.json', _UNLABELED), '1.png', 'add its'),
]
