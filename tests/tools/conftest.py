import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


@pytest.fixture
def load_tool() -> Callable[[str], ModuleType]:
    """Import a script of ``tools/`` without running it."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(name).stem, TOOLS / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def config(tmp_path) -> Path:
    """A config that trains nothing, for what happens before the training."""
    path = tmp_path / 'config.py'
    path.write_text("""
model = dict(type='mmpretrain.ImageClassifier', backbone=dict(type='mmpretrain.ResNet', depth=18))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
train_cfg = dict(by_epoch=True, max_epochs=1)
train_dataloader = dict(batch_size=2, num_workers=2, sampler=dict(type='DefaultSampler'), dataset=dict(type='Data'))
test_dataloader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler'), dataset=dict(type='Data'))
test_evaluator = dict(type='Accuracy')
test_cfg = dict()
default_hooks = dict(visualization=dict(type='VisualizationHook'))
""")
    return path


@pytest.fixture
def root(tmp_path):
    """Three methods on a pair, one seed each, as mmengine leaves them."""
    for i, method in enumerate(('baseline', 'kd', 'shake')):
        log = tmp_path / 'grid' / method / '20260101_000000' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps({'accuracy/top1': 90.0 + i, 'teacher/top1': 97.0, 'step': 1}) + '\n')
        (tmp_path / 'grid' / method / f'{method}_resnet14_resnet8_digits100.py').write_text(
            "model = dict(type='x', student=dict())\ntrain_cfg = dict(max_epochs=1)\nrandomness = dict(seed=0)\n"
        )
    return tmp_path / 'grid'
