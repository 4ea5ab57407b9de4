"""What the README and the pages of configs show: variations build, paths exist, log names are the engine's."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from shake_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text()
VARIATIONS = (ROOT / 'docs/variations.md').read_text()


@pytest.fixture
def base(make_classifier, trained):
    teacher = make_classifier(8)
    return dict(
        type='shake_mm.SHAKE',
        student=make_classifier(6),
        teachers=dict(config=teacher, checkpoint=trained(teacher)),
    )


def assignments(text):
    """Every ``model = dict(...)`` of the section's code blocks."""
    found = []
    for block in re.findall(r'```python\n(.*?)```', text, re.S):
        for statement in re.split(r'^(?=\w+ = )', block, flags=re.M):
            if statement.startswith('model') and '_base_' not in statement:
                scope = {}
                exec(statement, scope)
                found.append(scope['model'])
    return found


def test_there_are_variations():
    assert len(assignments(VARIATIONS)) >= 4


@pytest.mark.parametrize('changes', assignments(VARIATIONS))
def test_the_variations_build_and_step(base, batch, changes):
    model = MODELS.build({**base, **changes})
    losses = model.train()(*batch(), mode='loss')
    assert all(torch.isfinite(value) for value in losses.values())
    assert ('loss_hint' in losses) == ('hint' in (changes.get('terms') or {}))


def test_a_method_beside_shake(base, batch, tmp_path):
    """The README's config that joins a student's run with a file of terms."""
    (example,) = (block for block in re.findall(r'```python\n(.*?)```', VARIATIONS, re.S) if '_base_/methods' in block)
    (tmp_path / 'my_student.py').write_text(f'model = {base["student"]}\n')
    (tmp_path / 'my_shake.py').write_text(example)
    model = Config.fromfile(tmp_path / 'my_shake.py').model
    losses = MODELS.build({**model, 'teachers': base['teachers']}).train()(*batch(), mode='loss')
    assert {'loss_fitnets', 'loss_proxy_from_teacher', 'student.loss'} <= losses.keys()


PAGES = ('README.md', *(f'docs/{name}.md' for name in ('first_steps', 'variations', 'crd_benchmark', 'tools', 'faq')))


@pytest.mark.parametrize('page', PAGES)
def test_files_that_it_names_exist(page):
    text = (ROOT / page).read_text()
    for path in {*re.findall(r'`((?:tools|configs|docs|requirements|shake_mm)/[\w./-]+)', text)}:
        assert (ROOT / path).exists(), path
    for target in {*re.findall(r'\]\(([\w./-]+)(?:#[\w-]+)?\)', text)}:
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_readme_is_short():
    assert len(README.split()) <= 900


def test_log_names_are_the_engines(base, batch):
    table = (ROOT / 'docs/logs.md').read_text()
    documented = set(re.findall(r'^\| `([\w./]+)`', table, re.M))
    for kind in ('SHAKE', 'KD'):
        model = MODELS.build({**base, 'type': f'shake_mm.{kind}'})
        _, log = model.parse_losses(model.train()(*batch(), mode='loss'))
        assert set(log) <= documented


def test_no_placeholder_is_left():
    assert 'MEASURED' not in README and 'TODO' not in README
