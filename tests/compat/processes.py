"""Processes in which nothing has been worked around yet."""

import os
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMPAT = f"""
import sys
import types
package = sys.modules['shake_mm'] = types.ModuleType('shake_mm')  # importing the package would apply the workarounds
package.__path__ = [{str(ROOT / 'shake_mm')!r}]
from shake_mm.compat import workarounds
from shake_mm.compat.workarounds import imports  # which would import the package for it
del sys.modules['shake_mm']
"""
TRAIN = (
    f"""{COMPAT}
workarounds.workaround_torchvision()
"""
    + """
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
    def forward(self, inputs, mode):
        return dict(loss=(self.weight * torch.stack(inputs)).sum())

def train(work_dir, epochs, resume=False, **kwargs):
    runner = Runner(
        Model(), work_dir, DataLoader([torch.ones(1)] * 4, batch_size=2, collate_fn=lambda data: dict(inputs=data)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs), resume=resume, experiment_name=f'{work_dir}_{epochs}',
        param_scheduler=dict(type='MultiStepLR', milestones=[1]),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)), log_level='ERROR', **kwargs)
    runner.train()
    return runner
"""
)


def owner_of(path: str) -> tuple[Any, str]:
    """The object that holds what ``'module:Class.attribute'`` names, and its name there."""
    module, _, attribute = path.partition(':')
    parent, _, name = attribute.rpartition('.')
    return resolve_name(f'{module}:{parent}'), name


def python(code: str, *args: str, path: Path | str = '') -> subprocess.CompletedProcess:
    """Run code in a process of its own."""
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [str(path), str(ROOT)]))}
    return subprocess.run([sys.executable, '-c', code, *args], capture_output=True, text=True, env=env, timeout=300)
