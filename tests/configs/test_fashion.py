"""The configs on Fashion-MNIST's pictures: they train and test on small files of that form, and their page is right."""

import re

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from shake_mm.cli.dataset_prepare import parse_args
from shake_mm.cli.test import main as evaluate
from shake_mm.cli.train import main as train

from ..support.garments import write_garments
from .cells import CONFIGS, ROOT, shortened

SETS = {'fashion': 10, 'fashion-few': 10, 'fashion100': 100}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return str(write_garments(tmp_path_factory.mktemp('garments')))


@pytest.mark.parametrize('data', SETS)
def test_training_validates_on_held_back_pictures_and_tests_on_others(data, root):
    cfg = Config.fromfile(CONFIGS / f'_base_/datasets/{data}_bs64.py')
    init_default_scope('mmpretrain')
    splits = {}
    for name in ('train', 'val', 'test'):
        config = cfg[f'{name}_dataloader'].dataset
        config.update(data_root=root, num_samples=40)
        splits[name] = DATASETS.build(config)
        assert len(splits[name].metainfo['classes']) == cfg.data_preprocessor.num_classes == SETS[data]
    assert [dataset.split for dataset in splits.values()] == ['train', 'val', 'test']


def test_a_shipped_config_trains_and_tests(root, tmp_path):
    cfg = shortened(Config.fromfile(CONFIGS / 'kd/kd_resnet14_resnet8_fashion-few.py'), tmp_path, epochs=1)
    for name in ('train', 'val', 'test'):
        cfg[f'{name}_dataloader'].dataset.data_root = root
    cfg.dump(tmp_path / 'config.py')
    arguments = [str(tmp_path / 'config.py'), '--work-dir', str(tmp_path / 'run')]
    assert train(arguments) == 0
    assert (tmp_path / 'run/epoch_1.pth').is_file()
    assert evaluate([arguments[0], str(tmp_path / 'run/epoch_1.pth'), *arguments[1:]]) == 0


def test_the_page_s_commands_exist():
    page = (ROOT / 'docs/data.md').read_text(encoding='utf-8')
    commands = re.findall(r'`python tools/dataset_prepare\.py ([^`]+)`', page)
    assert len(commands) == 6
    for command in commands:
        parse_args(command.split())
    assert 'data: venv' in (ROOT / 'Makefile').read_text() and '`make data`' in page
    for path in re.findall(r'`(configs/\S+\.py)`', page):
        assert (ROOT / path).is_file()


@pytest.mark.parametrize('method', ['kd', 'shake'])
@pytest.mark.parametrize('kind', ['retinanet', 'faster-rcnn'])
def test_detectors_of_garments_are_those_of_digits(method, kind):
    """All but the data: so the runs on digits speak for them."""
    name = f'{method}/{method}_{kind}-r18-w32_{kind}-r18-w8_{{}}-scenes.py'
    garments, digits = (Config.fromfile(CONFIGS / name.format(of)) for of in ('garment', 'digit'))
    assert garments.train_dataloader.dataset.type == 'shake_mm.GarmentScenes'
    parts = ['train', 'val', 'test']
    assert [garments[f'{part}_dataloader'].dataset.split for part in parts] == parts
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'dataset_type'):
        garments.pop(key), digits.pop(key)
    assert garments.pretty_text.replace('garment', 'digit') == digits.pretty_text
