import importlib.util
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
train_dataloader = dict(batch_size=2, num_workers=2, dataset=dict(type='Data'))
test_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(type='Data'))
test_evaluator = dict(type='Accuracy')
test_cfg = dict()
default_hooks = dict(visualization=dict(type='VisualizationHook'))
""")
    return path
