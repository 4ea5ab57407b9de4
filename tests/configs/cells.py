"""The cells of Table 4 as the tests need them: their names, and the same cell on digits instead of CIFAR-100."""

import importlib.util
import math
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from analysis.describe import calibrated
from shake_mm.export import export_student
from shake_mm.members import MemberSpec
from tools.train import main as train_main

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'


def load_generator():
    sys.path.insert(0, str(ROOT / 'tools' / 'misc'))  # as when it is run
    spec = importlib.util.spec_from_file_location('make_configs', ROOT / 'tools' / 'misc' / 'make_configs.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()
TABLES = sys.modules['config_tables']
PAIRS = ['_'.join(pair) for pair in TABLES.TABLE_PAIRS]
METHODS = list(TABLES.TABLE4)
"""The rows of the paper's Table 4, below the baselines."""


def forms_on(data):
    """The cells of SHAKE's forms and of several teachers, below ``configs``."""
    kinds = ((TABLES.FORM_PAIRS, TABLES.FORMS), (TABLES.SEVERAL_PAIRS, TABLES.SEVERAL))
    return [GENERATOR.cell_path(name, pair, data) for pairs, names in kinds for pair in pairs[data] for name in names]


def augmented_on(data, pairs=None):
    """The cells with an augmentation, below ``configs``."""
    found = TABLES.AUGMENTS.items()
    cells = {(f'{m}-{name}', pair) for name, a in found for m in a.methods for pair in a.pairs[data]}
    cells |= {('shake-alpha-div', pair) for pair in TABLES.TABLE6_PAIRS[data]}
    return [GENERATOR.cell_path(name, pair, data) for name, pair in sorted(cells) if pairs is None or pair in pairs]


def cell_path(method, pair, data='cifar100'):
    return CONFIGS / GENERATOR.folder_of(method) / f'{method}_{pair}_{data}.py'


def swap_base(path, folder):
    """Write the cell with one base exchanged: its pair's run on CIFAR-100 for the same pair's on digits."""
    text = path.read_text()
    pair = next(name for name in PAIRS if path.stem.endswith(f'_{name}_cifar100'))
    swapped = text.replace(f'pairs/{pair}_cifar100.py', f'pairs/{pair}_digits100-32px.py')
    assert swapped != text
    out = folder / path.name
    out.write_text(swapped.replace("'../_base_/", f"'{CONFIGS}/_base_/"))
    return out


def shortened(cfg, folder, epochs, samples=32):
    """The same run on few images, with random weights for teachers that a checkpoint would hold."""
    for i, teacher in enumerate(cfg.model.teachers):
        if 'checkpoint' in teacher:
            teacher.checkpoint = str(folder / f'teacher{i}.pth')
            if not (folder / f'teacher{i}.pth').exists():
                network = MemberSpec.parse(f'teacher{i}', dict(config=teacher.config)).build()
                network.init_weights()
                torch.save({'state_dict': calibrated(network, 32).state_dict()}, teacher.checkpoint)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        inner = loader.dataset.get('dataset', loader.dataset)
        inner.num_samples = samples
        loader.batch_size = 16
    cfg.work_dir = str(folder / 'run')
    first, *later = sorted(cfg.model.get('stages', {}).values(), key=lambda stage: stage.get('until', math.inf)) or [{}]
    if later:
        first.until = 1
    added = int(first.get('adds_epochs', False))
    cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs - added, val_interval=1)
    cfg.param_scheduler = None  # its milestones lie beyond the few epochs
    cfg.default_hooks.logger.interval = 1
    cfg.randomness.seed = 0
    cfg.log_level = 'WARNING'
    return cfg


def config_on_digits(method, pair, folder, epochs):
    return shortened(Config.fromfile(swap_base(cell_path(method, pair), folder)), folder, epochs)


def train_resume_export(configure, folder, epochs):
    """Train by ``configure(epochs)``, resume to the end, export.

    Args:
        configure: Makes the run's config of a number of epochs.
        folder: Where the run is.
        epochs: Of the training, and of the resumed one.

    Returns:
        tuple: The checkpoints of the first and of the last epoch, and the config of what was exported.
    """
    config = folder / 'config.py'
    for number in epochs:
        configure(number).dump(config)
        assert train_main([str(config), '--debug', *(['--resume'] if (folder / 'run').exists() else [])]) == 0
    first, last = (torch.load(folder / f'run/epoch_{e}.pth', weights_only=True) for e in (1, epochs[-1]))
    assert last['meta']['epoch'] == epochs[-1]
    assert all(torch.isfinite(value).all() for value in last['state_dict'].values())
    checkpoint = str(folder / f'run/epoch_{epochs[-1]}.pth')
    weights, plain = export_student(Config.fromfile(config), checkpoint, str(folder))
    assert weights.is_file()
    return first['state_dict'], last['state_dict'], Config.fromfile(plain)


def rates(cfg, epochs):
    """Learning rate of every epoch, by mmengine's own schedulers."""
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper)
    configs = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    schedulers = [PARAM_SCHEDULERS.build(dict(config, optimizer=wrapper)) for config in configs]
    lrs = []
    for _ in range(epochs):
        lrs.append(wrapper.get_lr()['lr'][0])
        wrapper.optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return lrs
