"""What the README shows beside the walkthrough: its variations build, its tools and paths exist."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from shake_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / 'README.md').read_text()
VARIATIONS = README.split('## Variations')[1].split('\n## ')[0]


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


def test_the_variations_build_and_step(base, batch):
    models = assignments(VARIATIONS)
    assert len(models) >= 4
    for changes in models:
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


def test_files_that_it_names_exist():
    for path in set(re.findall(r'`((?:tools|configs|docs|requirements|shake_mm)/[\w./-]+)', README)):
        assert (ROOT / path).exists(), path


def test_log_names_are_the_engines(base, batch):
    table = README.split('## What a run logs')[1].split('\n## ')[0]
    documented = set(re.findall(r'^\| `([\w./]+)`', table, re.M))
    for kind in ('SHAKE', 'KD'):
        model = MODELS.build({**base, 'type': f'shake_mm.{kind}'})
        _, log = model.parse_losses(model.train()(*batch(), mode='loss'))
        assert set(log) <= documented


def test_no_placeholder_is_left():
    assert 'MEASURED' not in README and 'TODO' not in README
