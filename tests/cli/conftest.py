from pathlib import Path

import pytest


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
