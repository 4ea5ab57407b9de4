"""Bad inputs: images."""

from collections.abc import Callable

import numpy as np

from .case import Case
from .site import Site

PIPELINE = 'train_dataloader.dataset.pipeline'


def _one(break_it: Callable[[Site], None], changes: dict | None = None):
    """Train on a folder whose images ``break_it`` changes."""

    def prepare(site: Site) -> list[str]:
        return site.folder(changes, lambda data: break_it(site))

    return prepare


def _each(change: Callable[[bytes], bytes]) -> Callable[[Site], None]:
    def break_it(site: Site) -> None:
        for i in range(4):
            site.edit(f'data/class{i % 2}/{i}.png', change)

    return break_it


def _drawn(*shape: int, dtype: type = np.uint8) -> Callable[[Site], None]:
    def break_it(site: Site) -> None:
        for i in range(4):
            site.image(f'data/class{i % 2}/{i}.png', pixels=np.full(shape, 7, dtype))

    return break_it


def _load(**options: object) -> list[dict]:
    return [dict(type='LoadImageFromFile', **options), dict(type='PackInputs')]


def _folder_for_a_image(site: Site) -> None:
    for i in range(4):
        path = site.path / f'data/class{i % 2}/{i}.png'
        path.unlink()


def _listed_but_gone(site: Site) -> list[str]:
    lines = ''.join(f'class{i % 2}/gone{i}.png {i % 2}\n' for i in range(4))
    listing = site.write('list.txt', lines)
    return site.folder({'train_dataloader.dataset.ann_file': listing})


def _listed_folders(site: Site) -> list[str]:
    listing = site.write('list.txt', ''.join(f'class{i % 2} {i % 2}\n' for i in range(4)))
    return site.folder({'train_dataloader.dataset.ann_file': listing})


def _sizes(site: Site) -> None:
    for i in range(4):
        site.image(f'data/class{i % 2}/{i}.png', 16 + 4 * i)


def _jpeg(site: Site) -> None:
    for i in range(4):
        whole = site.image(f'data/class{i % 2}/{i}.png')
        del whole
        import cv2

        pixels = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
        content = cv2.imencode('.jpg', pixels)[1].tobytes()
        site.write(f'data/class{i % 2}/{i}.png', content[: len(content) // 2])


CASES = [
    Case('image', 'text named as an image', _one(_each(lambda content: b'hello')), '.png', 'fix'),
    Case('image', 'empty', _one(_each(lambda content: b'')), '.png', 'fix'),
    Case('image', 'cut off in its header', _one(_each(lambda content: content[:20])), '.png', 'fix'),
    Case('image', 'PNG cut off in its pixels', _one(_each(lambda c: c[:-200])), '.png', 'fix'),
    Case('image', 'JPEG cut off in its pixels', _one(_jpeg), '.png', 'fix'),
    Case(
        'image',
        'PNG with a flipped byte',
        _one(_each(lambda c: c[:300] + bytes([c[300] ^ 255]) + c[301:])),
        '.png',
        'fix',
    ),
    Case('image', 'listed but gone', _listed_but_gone, 'gone', 'fix'),
    Case('image', 'a folder in the list', _listed_folders, 'class', 'fix'),
    Case(
        'image',
        'a kind that is not read',
        _one(_each(lambda c: b'\x00\x00\x00\x18ftypheic' + bytes(40))),
        '.png',
        'fix',
    ),
    Case(
        'image',
        'gray where three channels are convolved',
        _one(_drawn(16, 16), {PIPELINE: _load(color_type='unchanged')}),
        'channels',
        'color_type',
    ),
    Case(
        'image',
        'transparency as a fourth channel',
        _one(_drawn(16, 16, 4), {PIPELINE: _load(color_type='unchanged')}),
        'channels',
        'color_type',
    ),
    Case(
        'image',
        '16 bits as they are',
        _one(_drawn(16, 16, 3, dtype=np.uint16), {PIPELINE: _load(color_type='unchanged')}),
        'uint16',
        'color_type',
    ),
    Case(
        'image',
        'smaller than its crop',
        _one(
            _drawn(4, 4, 3),
            {
                PIPELINE: [
                    dict(type='LoadImageFromFile'),
                    dict(type='shake_mm.RandomView', crop_size=32),
                    dict(type='PackInputs'),
                ]
            },
        ),
        'crop_size',
        'choose a smaller one',
    ),
    Case('image', 'sizes that do not stack', _one(_sizes), 'sizes', 'Resize'),
    Case(
        'image',
        'one pixel',
        _one(_drawn(1, 1, 3), {'model.backbone': dict(type='shake_mm.CRDVGG', depth=8)}),
        '(3, 1, 1)',
        'resize',
    ),
    Case(
        'image',
        'another size than the network was made for',
        lambda s: s.plain(
            {
                'model.backbone': dict(
                    type='MlpMixer',
                    arch=dict(embed_dims=8, num_layers=1, tokens_mlp_dims=8, channels_mlp_dims=8),
                    img_size=32,
                    patch_size=8,
                ),
                'model.neck.dim': 1,
                'model.head.in_channels': 8,
            }
        ),
        '(3, 16, 16)',
        'resize',
    ),
]
