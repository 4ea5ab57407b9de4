"""The page on deployment: its commands and programs, run as printed on small networks."""

import re
import subprocess
import sys
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch

from shake_mm.deploy import deploy_student
from tools.deploy import main

from ..support.detectors import detector
from .test_student import needs_onnx, saved

PAGE = (Path(__file__).resolve().parents[2] / 'docs/deploy.md').read_text()
FILES = dict(re.findall(r'^`(\w+\.py)`:\n\n```python\n(.*?)```', PAGE, re.M | re.S))
COMMANDS = [line for block in re.findall(r'^```bash\n(.*?)```', PAGE, re.M | re.S) for line in block.splitlines()]


def run(folder, *arguments):
    """Run Python in a folder and return what it prints."""
    command = [sys.executable, '-W', 'ignore', *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@needs_onnx
def test_a_classifier_from_the_command_to_a_class(make_classifier, tmp_path, monkeypatch):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=16), dict(type='PackInputs')]
    loader = dict(dataset=dict(type='CustomDataset', pipeline=pipeline))
    cfg, weights, network = saved(make_classifier(to_rgb=True), tmp_path, 'mmpretrain', test_dataloader=loader)
    cfg.dump(tmp_path / 'my_classifier.py')
    Path(weights).rename(tmp_path / 'my_classifier.pth')
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), 'uint8')
    mmcv.imwrite(picture, str(tmp_path / 'my_data/val/3/0003.png'))
    (tmp_path / 'answer.py').write_text(FILES['answer.py'])
    monkeypatch.chdir(tmp_path)
    deployments = [line.split() for line in COMMANDS if ' deploy ' in line]
    assert len(deployments) == 2 and len(COMMANDS) == 3
    for command in deployments:
        assert command[:4] == ['python', '-m', 'shake_mm', 'deploy'] and main(command[4:]) == 0
    said = run(tmp_path, *COMMANDS[2].split()[1:]).split()
    images = torch.from_numpy(picture).permute(2, 0, 1)
    logits = network(network.data_preprocessor(dict(inputs=[images]), False)['inputs'], mode='tensor')
    assert said[1] == 'abcde'[int(logits.argmax())]
    assert float(said[2]) == pytest.approx(float(logits.softmax(1).max()), abs=0.006)


def test_boxes_of_a_detector_s_maps(tmp_path):
    loader = dict(dataset=dict(type='CocoDataset', pipeline=[]))
    cfg, weights, _ = saved(detector(), tmp_path, 'mmdet', test_dataloader=loader)
    cfg.dump(tmp_path / 'my_detector.py')
    Path(weights).rename(tmp_path / 'my_detector.pth')
    deploy_student(cfg, str(tmp_path / 'my_detector.pth'), str(tmp_path / 'my_detector.pt'), [64])
    (tmp_path / 'boxes.py').write_text(FILES['boxes.py'])
    assert re.search(r'^\d+ boxes$', run(tmp_path, 'boxes.py'), re.M)
