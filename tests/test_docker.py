"""The Dockerfile and the conda environment, as far as can be told without building them."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from shake_mm import stack

ROOT = Path(__file__).resolve().parents[1]
INSTRUCTIONS = {'ARG', 'CMD', 'COPY', 'ENV', 'FROM', 'RUN', 'WORKDIR'}


@pytest.fixture(scope='module')
def stages():
    """By name of the stage, its instructions and what stands behind them, comments and line breaks removed."""
    lines = [line for line in (ROOT / 'docker/Dockerfile').read_text().splitlines() if not line.startswith('#')]
    text = '\n'.join(lines).replace('\\\n', ' ')
    stages = {}
    for instruction, rest in (line.split(maxsplit=1) for line in text.splitlines() if line.strip()):
        assert instruction in INSTRUCTIONS
        if instruction == 'FROM':
            image, name = re.fullmatch(r'([\w./-]+:[\w.-]+) AS (\w+)', rest).groups()
            assert 'latest' not in image
            stages[name] = []
        stages[name].append((instruction, ' '.join(rest.split())))
    return stages


def test_stages_and_their_commands(stages):
    assert list(stages) == ['cpu', 'cuda']
    for instructions in stages.values():
        for instruction, rest in instructions:
            if instruction == 'RUN':
                assert subprocess.run(['bash', '-n', '-c', rest]).returncode == 0, rest
        assert [rest for instruction, rest in instructions if instruction == 'CMD'] == ['["python", "tools/demo.py"]']


def test_what_they_name_exists(stages):
    text = str(stages)
    for path in re.findall(r'(?:requirements|tools)/[\w./-]+', text):
        assert (ROOT / path).is_file(), path
    assert re.search(r'^venv:', (ROOT / 'Makefile').read_text(), re.MULTILINE) and 'make venv' in text


def test_the_images_are_stacks_that_the_version_check_accepts(stages):
    """What they install by name and version is within what shake_mm takes."""
    setup = (ROOT / 'tools/setup_env.sh').read_text()
    torch = re.search(r'classic\) TORCH=\$\{TORCH:-torch==([\d.]+)', setup)[1]
    assert f'pytorch/pytorch:{torch}-cuda' in str(stages['cuda']) and ':3.11-' in str(stages['cpu'])
    environment = yaml.safe_load((ROOT / 'docker/environment.yml').read_text())
    *conda, pip = environment['dependencies']
    assert f'pytorch={torch}' in conda and environment['name'] == 'shake_mm'
    wanted = [Requirement(line) for line in pip['pip']]
    for module in ('mmengine', 'mmpretrain', 'mmdet'):
        (requirement,) = (item for item in wanted if item.name == module)
        assert str(requirement.specifier) == str(Requirement(module + stack.DISTRIBUTIONS[module][module]).specifier)
