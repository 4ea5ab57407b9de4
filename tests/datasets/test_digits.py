import numpy as np
import pytest
from mmengine.dataset import default_collate
from mmpretrain.registry import DATASETS
from sklearn.datasets import load_digits

from shake_mm.datasets import DigitPairs, Digits
from shake_mm.datasets.glyphs import split_glyphs
from shake_mm.errors import UsageError

BOTH = pytest.mark.parametrize('dataset_type', [Digits, DigitPairs])


def images(dataset):
    """Stack the images of a data set."""
    return np.stack([dataset.get_data_info(i)['img'] for i in range(len(dataset))])


def test_split_is_disjoint_complete_and_stratified():
    train, val = split_glyphs('train'), split_glyphs('val')
    assert not set(train) & set(val)
    assert sorted([*train, *val]) == list(range(1797))
    labels = Digits(split='val').get_gt_labels()
    assert set(np.bincount(labels, minlength=10)) <= {43, 44, 45, 46}


@BOTH
@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('serialize_data', [True, False])
def test_sample(dataset_type, split, serialize_data):
    dataset = dataset_type(split=split, num_samples=30, image_size=32, serialize_data=serialize_data)
    assert len(dataset) == 30
    info = dataset.get_data_info(3)
    assert info['img'].shape == (32, 32, 3) and info['img'].dtype == np.uint8
    assert info['sample_idx'] == 3
    assert 0 <= info['gt_label'] < len(dataset.metainfo['classes'])
    assert split in repr(dataset)
    # A transform that works in place must not reach the stored image.
    info['img'][:] = 7
    assert not (dataset.get_data_info(3)['img'] == 7).all()


def test_digits():
    train, val = Digits(split='train'), Digits(split='val')
    assert (len(train), len(val)) == (1347, 450)
    assert train.metainfo['classes'] == tuple('0123456789')
    assert Digits(split='val', image_size=16, num_samples=1)[0]['img'].shape == (16, 16, 3)
    assert images(val).mean() == pytest.approx(77.9, abs=1.5)


def test_interpolation_is_an_argument():
    nearest = images(Digits(split='val', num_samples=3, interpolation='nearest'))
    assert not np.array_equal(nearest, images(Digits(split='val', num_samples=3)))
    assert np.array_equal(nearest[:, ::4, ::4], nearest[:, 3::4, 3::4])


def test_pairs_never_share_a_glyph_between_splits():
    seen = {}
    for split in ('train', 'val'):
        dataset = DigitPairs(split=split, num_samples=2000, seed=0 if split == 'train' else 1)
        seen[split] = {glyph for i in range(2000) for glyph in dataset.get_data_info(i)['glyphs']}
        assert seen[split] <= set(split_glyphs(split))
    assert not seen['train'] & seen['val']


def test_pairs_spell_their_label():
    digits = load_digits().target
    dataset = DigitPairs(num_samples=200)
    for i in range(200):
        info = dataset.get_data_info(i)
        left, right = info['glyphs']
        assert info['gt_label'] == 10 * digits[left] + digits[right]


def test_pairs_show_their_glyphs():
    dataset = DigitPairs(num_samples=50, noise=0.0)
    glyphs = load_digits().images
    for i in range(50):
        info = dataset.get_data_info(i)
        for half, glyph in zip((info['img'][:, :8, 0], info['img'][:, 8:, 0]), info['glyphs']):
            expected = np.rint(glyphs[glyph] / 16 * 255)
            # A glyph stands whole, at any height.
            assert any(np.array_equal(half[top : top + 8], expected) for top in range(9))


def test_pairs_are_balanced():
    labels = DigitPairs(num_samples=400).get_gt_labels()
    assert (np.bincount(labels, minlength=100) == 4).all()
    assert len(set(DigitPairs(num_samples=64).get_gt_labels())) == 64


def test_pairs_are_deterministic():
    long, short = DigitPairs(num_samples=350), DigitPairs(num_samples=120)
    assert np.array_equal(images(long)[:120], images(short))
    assert np.array_equal(long.get_gt_labels()[:120], short.get_gt_labels())
    assert not np.array_equal(images(DigitPairs(num_samples=120, seed=1)), images(short))
    assert not np.array_equal(images(DigitPairs(split='val', num_samples=120)), images(short))


def test_noise_is_an_argument():
    clean = images(DigitPairs(num_samples=100, noise=0.0))
    noisy = images(DigitPairs(num_samples=100, noise=0.2))
    assert (clean == 0).mean() > 0.5
    background = clean == 0
    # Half of the noise falls below black and is cut off: its mean is std / sqrt(2 pi).
    assert noisy[background].mean() == pytest.approx(255 * 0.2 / (2 * np.pi) ** 0.5, rel=0.05)


@BOTH
def test_lazy_init(dataset_type):
    dataset = dataset_type(num_samples=5, lazy_init=True)
    assert not dataset._fully_initialized
    dataset.full_init()
    assert len(dataset) == 5


@BOTH
def test_pipeline_of_mmpretrain(dataset_type):
    pipeline = [
        dict(type='RandomCrop', crop_size=16, padding=2),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='PackInputs'),
    ]
    cfg = dict(type=f'shake_mm.{dataset_type.__name__}', num_samples=8, image_size=16, pipeline=pipeline)
    dataset = DATASETS.build(cfg)
    assert isinstance(dataset, dataset_type)
    batch = default_collate([dataset[i] for i in range(8)])
    assert batch['inputs'].shape == (8, 3, 16, 16)
    assert [sample.sample_idx for sample in batch['data_samples']] == list(range(8))
    assert [sample.gt_label.item() for sample in batch['data_samples']] == list(dataset.get_gt_labels())


@BOTH
@pytest.mark.parametrize(
    ('kwargs', 'sentence'),
    [
        (dict(num_samples=0), r'num_samples=0 .* empty: use 1 or more\.$'),
        (dict(num_samples=-3), r'num_samples=-3 .* empty: use 1 or more\.$'),
        (dict(split='test'), r"split='test' .* use 'train' or 'val'\.$"),
        (dict(image_size=8), r'image_size=8 .* use 16 or more\.$'),
    ],
)
def test_bad_arguments(dataset_type, kwargs, sentence):
    with pytest.raises(UsageError, match=sentence):
        dataset_type(**kwargs)


def test_drawn_images_need_a_number():
    with pytest.raises(UsageError, match='num_samples of DigitPairs is None.*give a number'):
        DigitPairs(num_samples=None)


def test_more_digits_than_there_are():
    with pytest.raises(UsageError, match='450'):
        Digits(split='val', num_samples=451)


def test_some_of_the_digits_are_classes_of_their_own():
    every, some = Digits(split='val'), Digits(split='val', digits=(8, 3))
    assert some.metainfo['classes'] == ('8', '3') and every.metainfo['classes'] == tuple('0123456789')
    wanted = [(s['glyph'], (8, 3).index(s['gt_label'])) for s in every.load_data_list() if s['gt_label'] in (8, 3)]
    assert [(s['glyph'], s['gt_label']) for s in some.load_data_list()] == wanted and len(wanted) > 80
    assert len(Digits(split='val', digits=(8, 3), num_samples=5)) == 5


@pytest.mark.parametrize('digits', [(), (3, 3), (10,), (-1, 2)])
def test_digits_that_are_none_are_refused(digits):
    with pytest.raises(UsageError, match='must be numbers from 0 to 9, each once'):
        Digits(digits=digits)
