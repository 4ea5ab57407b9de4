import mmcv
import numpy as np
import pytest
from mmpretrain.datasets import FashionMNIST

from shake_mm.datasets import GarmentPairs, Garments, GarmentScenes
from shake_mm.datasets.fashion import load_garments, split_garments
from shake_mm.errors import UsageError

from ..support.garments import write_garments


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return str(write_garments(tmp_path_factory.mktemp('garments')))


def test_the_splits_part_the_pictures(root):
    train, val, test, both = (split_garments(root, split) for split in ('train', 'val', 'test', 'trainval'))
    assert (len(train), len(val), len(test), len(both)) == (500, 100, 200, 600)
    assert not set(train) & set(val) and sorted([*train, *val]) == sorted(both) == list(range(600))
    labels = load_garments(root, 'train').labels
    assert np.bincount(labels[val]).tolist() == [10] * 10
    # Any first part shows every class as often.
    assert np.bincount(labels[train[:70]]).tolist() == [7] * 10


def test_a_picture_is_its_file_s_in_a_border(root):
    images, labels = load_garments(root, 'test')
    dataset = Garments(split='test', data_root=root, num_samples=50, image_size=33)
    assert len(dataset) == 50 and dataset.metainfo['classes'][-1] == 'Ankle boot'
    for info in (dataset.get_data_info(i) for i in range(50)):
        assert info['img'].shape == (33, 33, 3) and info['img'].dtype == np.uint8
        assert info['gt_label'] == labels[info['glyph']]
        assert np.array_equal(info['img'][2:30, 2:30, 1], images[info['glyph']])
        assert not info['img'][:2].any() and not info['img'][30:].any() and not info['img'][:, 30:].any()
    assert 'test' in repr(dataset) and root in repr(dataset)


def test_packed_files_are_read_too(root, tmp_path):
    packed = Garments(split='val', data_root=str(write_garments(tmp_path, ending='.gz')))
    plain = Garments(split='val', data_root=root)
    assert all(np.array_equal(packed.get_data_info(i)['img'], plain.get_data_info(i)['img']) for i in range(100))


def test_mmpretrain_reads_the_same_files(root):
    theirs = FashionMNIST(data_root=root, split='test', test_mode=True, download=False)
    ours = Garments(split='test', data_root=root)
    for info in (ours.get_data_info(i) for i in range(0, 200, 20)):
        other = theirs.get_data_info(info['glyph'])
        assert info['gt_label'] == other['gt_label'] and np.array_equal(info['img'][2:30, 2:30, 0], other['img'])


def test_pairs_spell_their_label_with_pictures_of_their_split(root):
    images, labels = load_garments(root, 'train')
    dataset = GarmentPairs(split='val', num_samples=200, data_root=root)
    assert dataset.metainfo['classes'][12] == 'Trouser, Pullover'
    own, chosen = set(split_garments(root, 'val')), set()
    for info in (dataset.get_data_info(i) for i in range(200)):
        left, right = info['glyphs']
        chosen |= {left, right}
        assert info['gt_label'] == 10 * labels[left] + labels[right]
        for half, glyph in ((info['img'][:, :16, 0], left), (info['img'][:, 16:, 0], right)):
            shrunk = mmcv.imresize(images[glyph].astype(np.float32), (16, 16), interpolation='area')
            tops = [top for top in range(17) if np.abs(half[top : top + 16] - shrunk).max() <= 0.51]
            assert tops, 'the garment is not in its half'
    assert chosen <= own
    assert np.bincount(dataset.get_gt_labels()).tolist() == [2] * 100


def test_a_share_of_the_labels_is_wrong_and_the_same_ones_each_time(root):
    right = np.array(Garments(data_root=root).get_gt_labels())
    wrong = np.array(Garments(data_root=root, wrong_labels=0.4).get_gt_labels())
    assert (right != wrong).sum() == 200 and 0 <= wrong.min() and wrong.max() <= 9
    assert np.array_equal(wrong, Garments(data_root=root, wrong_labels=0.4).get_gt_labels())
    assert (np.array(Garments(data_root=root, wrong_labels=1).get_gt_labels()) != right).all()


@pytest.mark.parametrize('dataset_type', [Garments, GarmentPairs, GarmentScenes])
def test_missing_and_foreign_files_are_refused(dataset_type, root, tmp_path):
    where = 'garment_root' if dataset_type is GarmentScenes else 'data_root'
    kwargs = dict(data_root=str(tmp_path / 'scenes')) if dataset_type is GarmentScenes else {}
    with pytest.raises(UsageError, match='has no train-images-idx3-ubyte: run `python tools/dataset_prepare.py'):
        dataset_type(**{**kwargs, where: str(tmp_path / 'none')})
    folder = write_garments(tmp_path / 'foreign')
    (folder / 'train-labels-idx1-ubyte').write_bytes((folder / 't10k-labels-idx1-ubyte').read_bytes())
    with pytest.raises(UsageError, match='holds other pictures than Fashion-MNIST'):
        dataset_type(**{**kwargs, where: str(folder)})


@pytest.mark.parametrize(
    ('dataset_type', 'change', 'words'),
    [
        (
            Garments,
            dict(split='all'),
            "split='all' of Garments does not exist: use 'train', 'val', 'test' or 'trainval'",
        ),
        (Garments, dict(num_samples=0), 'num_samples=0 leaves the train set of Garments empty'),
        (Garments, dict(num_samples=501), 'num_samples=501 is more than the 500 pictures in the train set'),
        (Garments, dict(image_size=27), 'image_size=27 of Garments is too small: use 28 or more'),
        (Garments, dict(wrong_labels=40), 'wrong_labels=40 of Garments is a share'),
        (GarmentPairs, dict(image_size=15), 'image_size=15 of GarmentPairs is too small: use 16 or more'),
        (GarmentPairs, dict(num_samples=None), 'num_samples of GarmentPairs is None'),
        (GarmentScenes, dict(split='all'), "split='all' of GarmentScenes does not exist"),
    ],
)
def test_bad_arguments(dataset_type, change, words, root):
    where = {} if dataset_type is GarmentScenes else dict(data_root=root)
    with pytest.raises(UsageError, match=words):
        dataset_type(**{**where, **change})
