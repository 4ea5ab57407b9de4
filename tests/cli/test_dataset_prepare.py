"""Data sets are put in place whole, from what was published, or not at all."""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile

import mmcv
import numpy as np
import pytest

from shake_mm.cli import dataset_prepare
from shake_mm.cli.dataset_prepare import main
from shake_mm.datasets import Garments
from shake_mm.datasets.published import ARCHIVES, FASHION_MNIST, Source

from ..support.garments import write_garments


@pytest.fixture
def garments(tmp_path, monkeypatch):
    """Small files in the place of Fashion-MNIST's, with their hashes."""
    folder = write_garments(tmp_path / 'published', ending='.gz')
    for name in FASHION_MNIST:
        packed = (folder / f'{name}.gz').read_bytes()
        digests = hashlib.md5(packed).hexdigest(), hashlib.sha256(gzip.decompress(packed)).hexdigest()
        monkeypatch.setitem(FASHION_MNIST, name, Source(f'https://example.com/{name}.gz', *digests))
    monkeypatch.setattr(dataset_prepare, 'DEBIAN', tmp_path / 'none')
    return folder


def archive(monkeypatch, name, path):
    """Let a file be what was published."""
    known = ARCHIVES[name]
    source = Source(known.source.url, hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setitem(ARCHIVES, name, known._replace(source=source))


def tarred(path, files):
    with tarfile.open(path, 'w:gz') as out:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


def test_fashion_mnist_is_unpacked_and_read(garments, tmp_path, capsys):
    target = tmp_path / 'data'
    assert main(['fashion-mnist', '--from', str(garments), '--to', str(target)]) == 0
    assert sorted(path.name for path in target.iterdir()) == sorted(FASHION_MNIST)
    assert len(Garments(data_root=str(target))) == 500
    # What is there is neither read again nor asked for.
    assert main(['fashion-mnist', '--from', str(tmp_path / 'gone'), '--to', str(target)]) == 0
    assert 'is ready' in capsys.readouterr().out


def test_debian_s_files_are_found(garments, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_prepare, 'DEBIAN', garments)
    assert main(['fashion-mnist', '--to', str(tmp_path / 'data')]) == 0
    assert len(Garments(data_root=str(tmp_path / 'data'))) == 500


def test_files_that_were_packed_anew_are_known_by_their_content(garments, tmp_path):
    for path in garments.iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    assert main(['fashion-mnist', '--from', str(garments), '--to', str(tmp_path / 'data')]) == 0
    for name in FASHION_MNIST:
        assert (tmp_path / 'data' / name).read_bytes() == gzip.decompress((garments / f'{name}.gz').read_bytes())


def test_another_file_is_refused_and_nothing_is_overwritten(garments, tmp_path, capsys):
    target = tmp_path / 'data'
    target.mkdir()
    (target / 't10k-images-idx3-ubyte').write_bytes(b'my own')
    assert main(['fashion-mnist', '--from', str(garments), '--to', str(target)]) == 1
    assert 'is another file than that of Fashion-MNIST' in capsys.readouterr().err
    assert (target / 't10k-images-idx3-ubyte').read_bytes() == b'my own'
    (garments / 'train-images-idx3-ubyte.gz').write_bytes(gzip.compress(b'other'))
    assert main(['fashion-mnist', '--from', str(garments), '--to', str(tmp_path / 'new')]) == 1
    assert 'is not the file that https://example.com' in capsys.readouterr().err
    (garments / 'train-images-idx3-ubyte.gz').unlink()
    assert main(['fashion-mnist', '--from', str(garments), '--to', str(tmp_path / 'new')]) == 1
    assert 'has no train-images-idx3-ubyte' in capsys.readouterr().err


def test_an_archive_is_unpacked_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    path = tarred(tmp_path / 'cifar.tar.gz', {'cifar-100-python/train': b'1', 'cifar-100-python/meta': b'2'})
    arguments = ['cifar100', '--from', str(path), '--to', str(tmp_path / 'data')]
    assert main(arguments) == 1 and 'is not the archive that https://www.cs.toronto' in capsys.readouterr().err
    assert not (tmp_path / 'data').exists()
    archive(monkeypatch, 'cifar100', path)
    assert main(arguments) == 0
    assert [item.name for item in (tmp_path / 'data').iterdir()] == ['cifar-100-python']
    assert (tmp_path / 'data/cifar-100-python/train').read_bytes() == b'1'
    path.unlink()
    assert main(arguments) == 0
    outside = tarred(path, {'../outside': b'1'})
    archive(monkeypatch, 'cifar100', outside)
    assert main(['cifar100', '--from', str(outside), '--to', str(tmp_path / 'other')]) == 1
    assert 'cannot be unpacked' in capsys.readouterr().err
    assert not (tmp_path / 'outside').exists() and not list((tmp_path / 'other').iterdir())


def test_tiny_imagenet_has_a_folder_for_each_class(tmp_path, monkeypatch):
    path = tmp_path / 'tiny.zip'
    with zipfile.ZipFile(path, 'w') as out:
        out.writestr('tiny-imagenet-200/train/n01/images/n01_0.JPEG', b'a')
        out.writestr(
            'tiny-imagenet-200/val/val_annotations.txt', 'val_0.JPEG\tn02\t0\t0\t1\t1\nval_1.JPEG\tn01\t0\t0\t1\t1\n'
        )
        for name in ('val_0', 'val_1'):
            out.writestr(f'tiny-imagenet-200/val/images/{name}.JPEG', name)
    archive(monkeypatch, 'tiny-imagenet', path)
    assert main(['tiny-imagenet', '--from', str(path), '--to', str(tmp_path / 'data')]) == 0
    val = tmp_path / 'data/tiny-imagenet-200/val'
    assert (val / 'n02/val_0.JPEG').read_text() == 'val_0' and (val / 'n01/val_1.JPEG').is_file()
    assert not (val / 'images').exists()


def test_stl10_becomes_pictures(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pictures = {part: rng.integers(0, 256, (2, 3, 96, 96), dtype=np.uint8) for part in ('train', 'test', 'unlabeled')}
    files = {f'stl10_binary/{part}_X.bin': values.tobytes() for part, values in pictures.items()}
    files |= {f'stl10_binary/{part}_y.bin': bytes((2, 1)) for part in ('train', 'test')}
    path = tarred(tmp_path / 'stl10.tar.gz', {**files, 'stl10_binary/class_names.txt': b'airplane\nbird\n'})
    archive(monkeypatch, 'stl10', path)
    assert main(['stl10', '--from', str(path), '--to', str(tmp_path / 'data')]) == 0
    root = tmp_path / 'data/stl10_binary'
    assert [p.name for p in sorted((root / 'unlabeled').iterdir())] == ['000000.png', '000001.png']
    # Each channel is stored column by column; mmcv reads BGR.
    found = mmcv.imread(str(root / 'train/bird/000000.png'))
    assert np.array_equal(found[5, 7], pictures['train'][0, ::-1, 7, 5])


def test_coco_minitrain_is_checked_against_coco(tmp_path, capsys):
    annotations = tmp_path / 'instances_minitrain2017.json'
    annotations.write_text(json.dumps(dict(images=[dict(file_name='1.jpg')], annotations=[], categories=[])))
    arguments = ['coco-minitrain', '--from', str(annotations), '--to', str(tmp_path / 'coco')]
    assert main(arguments) == 1 and 'lacks 1 of its 1 pictures' in capsys.readouterr().err
    (tmp_path / 'coco/train2017').mkdir(parents=True)
    (tmp_path / 'coco/train2017/1.jpg').touch()
    assert main(arguments) == 0
    assert (tmp_path / 'coco/annotations/instances_minitrain2017.json').read_text() == annotations.read_text()
    assert main(['coco-minitrain']) == 1 and '--from: name instances_minitrain2017.json' in capsys.readouterr().err
    annotations.write_text('[]')
    assert main(arguments) == 1 and 'is no annotation file of COCO' in capsys.readouterr().err
