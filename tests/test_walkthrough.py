"""The walkthrough, extracted from its page and run: a folder of images to a report, an export and ONNX."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
FILE_BLOCK = re.compile(r'^`(\w+\.py)`:\n\n```python\n(.*?)```', re.M | re.S)
ANSWER = re.compile(r'(my_data/val/3/\d+\.png) (\d) ([\d.]+)')
SHELL_BLOCK = re.compile(r'^```bash\n(.*?)```', re.M | re.S)


@pytest.fixture(scope='module')
def section():
    return (ROOT / 'docs/walkthrough.md').read_text()


def shorten(text):
    """One epoch instead of eight; everything else is run as printed."""
    return text.replace('max_epochs=8', 'max_epochs=1').replace('T_max=8', 'T_max=1').replace('epoch_8', 'epoch_1')


def run(folder, *blocks):
    """Run blocks of the page in a folder and return what the last one prints."""
    own = {'SHAKE_MM': str(ROOT), 'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}', 'OMP_NUM_THREADS': '1'}
    for block in blocks:
        command = ['bash', '-euo', 'pipefail', '-c', shorten(block)]
        result = subprocess.run(
            command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, timeout=600
        )
        assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope='module')
def finished(section, tmp_path_factory):
    """A folder with the page's files, in which its commands ran as far as the exported student, and what that said."""
    folder, files = tmp_path_factory.mktemp('walk'), dict(FILE_BLOCK.findall(section))
    names = {'make_data.py', 'my_run.py', 'my_teacher.py', 'my_student.py', 'my_shake.py', 'classify.py', 'answer.py'}
    assert set(files) == names
    for name, text in files.items():
        (folder / name).write_text(shorten(text))
    setup, train, classify, *_ = SHELL_BLOCK.findall(section)
    assert setup.startswith('export SHAKE_MM=')
    return folder, run(folder, train, classify)


def test_the_walkthrough_runs_as_printed(finished):
    folder, said = finished
    assert len(ANSWER.findall(said)) == 3

    (weights,) = folder.glob('my_classifier_*-*.pth')
    state = torch.load(weights, weights_only=True)['state_dict']
    assert not any(re.search('student|prox|teacher', key) for key in state)
    header, _, text = (folder / 'my_classifier.py').read_text().partition('\n')
    assert header.startswith('# Written by shake_mm') and 'shake_mm' not in text


def test_its_report_shows_all_members(finished, section):
    folder, _ = finished
    run(folder, SHELL_BLOCK.findall(section)[3])
    page = (folder / 'runs/shake/report/report.html').read_text()
    assert all(member in page for member in ('student', 'teacher', 'proxy'))


@pytest.mark.skipif(
    any(find_spec(name) is None for name in ('onnx', 'onnxruntime')), reason='onnx or onnxruntime is not installed'
)
def test_its_onnx_file_answers_as_the_export_does(finished, section):
    folder, said = finished
    classified = ANSWER.findall(said)
    answered = ANSWER.findall(run(folder, SHELL_BLOCK.findall(section)[4]))
    assert [line[:2] for line in answered] == [line[:2] for line in classified] and len(answered) == 3
    assert all(abs(float(a[2]) - float(b[2])) <= 0.0101 for a, b in zip(answered, classified, strict=True))


@pytest.mark.parametrize('page', ['README.md', 'docs/first_steps.md', 'docs/index.md'])
def test_the_five_lines_are_the_walkthroughs(section, page):
    text = (ROOT / page).read_text()
    assert re.search(r'```python\n(_base_.*?)```', text, re.S)[1] == dict(FILE_BLOCK.findall(section))['my_shake.py']
