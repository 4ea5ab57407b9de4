"""The walkthrough, extracted from its page and run: a folder of images to a classified image."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
FILE_BLOCK = re.compile(r'^`(\w+\.py)`:\n\n```python\n(.*?)```', re.M | re.S)
SHELL_BLOCK = re.compile(r'^```bash\n(.*?)```', re.M | re.S)


@pytest.fixture(scope='module')
def section():
    return (ROOT / 'docs/walkthrough.md').read_text()


def shorten(text):
    """One epoch instead of eight; everything else is run as printed."""
    return text.replace('max_epochs=8', 'max_epochs=1').replace('T_max=8', 'T_max=1').replace('epoch_8', 'epoch_1')


def test_the_walkthrough_runs_as_printed(section, tmp_path):
    files = dict(FILE_BLOCK.findall(section))
    assert set(files) == {'make_data.py', 'my_run.py', 'my_teacher.py', 'my_student.py', 'my_shake.py', 'classify.py'}
    for name, text in files.items():
        (tmp_path / name).write_text(shorten(text))
    setup, train, classify = SHELL_BLOCK.findall(section)
    assert setup.startswith('export SHAKE_MM=')
    env = {
        **os.environ,
        'SHAKE_MM': str(ROOT),
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        'OMP_NUM_THREADS': '1',
    }
    for block in (train, classify):
        result = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', shorten(block)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert result.returncode == 0, result.stderr[-3000:]
    answers = re.findall(r'my_data/val/3/\d+\.png (\d) [\d.]+', result.stdout)
    assert len(answers) == 3

    (weights,) = tmp_path.glob('my_classifier_*-*.pth')
    state = torch.load(weights, weights_only=True)['state_dict']
    assert not any(re.search('student|prox|teacher', key) for key in state)
    header, _, text = (tmp_path / 'my_classifier.py').read_text().partition('\n')
    assert header.startswith('# Written by shake_mm') and 'shake_mm' not in text


@pytest.mark.parametrize('page', ['README.md', 'docs/first_steps.md', 'docs/index.md'])
def test_the_five_lines_are_the_walkthroughs(section, page):
    text = (ROOT / page).read_text()
    assert re.search(r'```python\n(_base_.*?)```', text, re.S)[1] == dict(FILE_BLOCK.findall(section))['my_shake.py']
