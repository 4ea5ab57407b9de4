from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
# The members alone; a distiller's configs have tests of their own.
BASELINES = sorted(CONFIGS.glob('baseline/resnet*.py'))
MODEL_FILES = sorted(path for folder in ('crd', 'digits') for path in CONFIGS.glob(f'_base_/models/{folder}/*.py'))


def name_of(path):
    """Name a config in a test's id."""
    return str(path.relative_to(CONFIGS))


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('_base_/datasets/*_bs64.py')), ids=name_of)
def test_datasets(path):
    cfg = Config.fromfile(path)
    assert cfg.data_preprocessor.num_classes in (10, 100)
    splits = []
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.collate_fn.type == 'default_collate'
        assert loader.persistent_workers == (loader.num_workers > 0)
        # Lazily, because CIFAR-100 is the user's to provide.
        dataset = DATASETS.build(dict(loader.dataset, lazy_init=True))
        assert len(dataset.metainfo['classes']) == cfg.data_preprocessor.num_classes
        splits.append(dataset.split)
    assert cfg.train_dataloader.batch_size == 64
    assert splits in (['train', 'val', 'val'], ['train', 'test', 'test'], ['train', 'val', 'test'])


@pytest.mark.parametrize('name', ['digits', 'digits100', 'digits100_32px'])
def test_normalization_of_the_digits(name):
    cfg = Config.fromfile(CONFIGS / f'_base_/datasets/{name}_bs64.py')
    dataset = DATASETS.build(dict(cfg.val_dataloader.dataset, num_samples=200))
    pixels = torch.stack([dataset[i]['inputs'] for i in range(200)]).float()
    assert pixels.shape[-1] == cfg.train_dataloader.dataset.image_size
    assert pixels.mean().item() == pytest.approx(cfg.data_preprocessor.mean[0], abs=3)
    assert pixels.std().item() == pytest.approx(cfg.data_preprocessor.std[0], abs=3)


# Where the CRD benchmark does not leave the classifier as torch initializes it.
NORMAL_CLASSIFIERS = ('vgg', 'MobileNet')
ZERO_BIASES = (*NORMAL_CLASSIFIERS, 'wrn_16', 'wrn_40')


@pytest.mark.parametrize('path', MODEL_FILES, ids=name_of)
@torch.no_grad()
def test_models(path):
    model = MODELS.build(Config.fromfile(path).model)
    model.init_weights()
    logits = model.eval()(torch.rand(2, 3, 16, 16), mode='tensor')
    assert logits.shape == (2, 100)
    weight, bias = model.head.fc.weight, model.head.fc.bias
    if path.stem.startswith(NORMAL_CLASSIFIERS):
        assert weight.std().item() == pytest.approx(0.01, rel=0.05)
    else:  # uniform within 1 / sqrt(fan in)
        bound = model.head.in_channels**-0.5
        assert 0.9 * bound < weight.abs().max().item() <= bound
    assert (bias == 0).all() == path.stem.startswith(ZERO_BIASES)


def test_mobilenet_v1():
    model = MODELS.build(Config.fromfile(CONFIGS / '_base_/models/mobilenet_v1.py').model)
    assert sum(parameter.numel() for parameter in model.parameters()) == 4231976
    assert model.eval()(torch.rand(1, 3, 64, 64), mode='tensor').shape == (1, 1000)


@pytest.mark.parametrize('path', BASELINES, ids=name_of)
def test_baselines_are_complete(path):
    cfg = Config.fromfile(path)
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes
    assert cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size
    assert cfg.optim_wrapper.optimizer.type == 'SGD'


@pytest.mark.parametrize('name', ['resnet8_digits100', 'resnet14_digits100'])
def test_one_epoch(name, tmp_path):
    cfg = Config.fromfile(CONFIGS / f'baseline/{name}.py')
    cfg.work_dir = str(tmp_path)
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = 1
    cfg.train_dataloader.dataset.num_samples = 128
    cfg.val_dataloader.dataset.num_samples = cfg.test_dataloader.dataset.num_samples = 100
    cfg.randomness.seed = 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runner = Runner.from_cfg(cfg)
        runner.train()
        metrics = runner.test()
    finally:
        torch.set_num_threads(threads)
    assert runner.epoch == 1 and runner.iter == 2
    assert 0 <= metrics['accuracy/top1'] <= 100
    assert (tmp_path / 'epoch_1.pth').is_file()
