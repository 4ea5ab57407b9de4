"""Preferences: a program that imports the library does not get them, and our commands switch them on."""

import logging

import mmengine.config.config
import pytest
from mmengine.config import Config

from shake_mm.compat import preferences

from .processes import owner_of, python

UPSTREAM = """
import mmengine.config.config as config
import yapf.yapflib.yapf_api as yapf_api
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook, RuntimeInfoHook
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS

home = config if hasattr(config, 'FormatCode') else yapf_api

def looked_up():
    return [
        HistoryBuffer.update, HOOKS.get('RuntimeInfoHook'), home.FormatCode,
        CheckpointHook._save_checkpoint_with_step, CheckpointHook.before_train, LocalBackend.put,
    ]


"""


def test_importing_the_library_changes_none_of_them():
    """Also with all parts imported; ``functools.wraps`` names upstream's module, so the objects are compared."""
    result = python(f"""{UPSTREAM}
from mmengine.registry import MODELS
before = looked_up()
import shake_mm
assert MODELS.get('shake_mm.SHAKE') is not None and HOOKS.get('shake_mm.StageHook') is not None
assert looked_up() == before
import shake_mm.cli.train
assert looked_up() == before
from shake_mm.compat.preferences import apply_preferences
assert all(apply_preferences().values()) and not any(apply_preferences().values())
assert all(now is not then for now, then in zip(looked_up(), before, strict=True))
""")
    assert result.returncode == 0, result.stderr


def test_a_command_switches_them_on():
    result = python(f"""{UPSTREAM}
from argparse import Namespace
from shake_mm import cli
before, after = looked_up(), []
assert cli.run(lambda args: after.extend(looked_up()), Namespace(debug=False)) == 0
assert all(now is not then for now, then in zip(after, before, strict=True))
""")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ('name', 'needed'),
    [
        ('history_buffer', 'mmengine.logging:HistoryBuffer.update'),
        ('config_layout', 'mmengine.config:Config.pretty_text'),
        ('checkpoint_writer', 'mmengine.hooks:CheckpointHook._save_checkpoint_with_step'),
    ],
)
def test_another_upstream_is_left_alone(name, needed, monkeypatch, caplog):
    monkeypatch.delattr(*owner_of(needed))
    caplog.set_level(logging.DEBUG, 'shake_mm.compat')
    assert getattr(preferences, f'patch_{name}')() is False
    assert f'patch_{name} does nothing, since {needed} does not exist' in caplog.text


def test_the_same_config_is_laid_out_once(monkeypatch):
    seen = []
    home = preferences.home_of_formatter()
    monkeypatch.setattr(home, 'FormatCode', lambda text, **options: (seen.append(text) or text, True))
    assert preferences.patch_config_layout() and not preferences.patch_config_layout()
    cfg = Config(dict(model=dict(type='A', names=('a', 'b'))))
    texts = {cfg.pretty_text for _ in range(3)}
    assert len(texts) == len(seen) == 1
    cfg.model.type = 'B'
    assert "type='B'" in cfg.pretty_text and len(seen) == 2


def test_a_config_that_is_laid_out_by_something_else_is_left_alone(monkeypatch, caplog):
    monkeypatch.delattr(mmengine.config.config, 'FormatCode', raising=False)
    monkeypatch.setattr(Config, 'pretty_text', property(lambda self: repr(self)))
    caplog.set_level(logging.DEBUG, 'shake_mm.compat')
    assert preferences.patch_config_layout() is False
    assert 'patch_config_layout does nothing, since mmengine does not lay configs out by yapf' in caplog.text


def test_a_formatter_that_is_imported_at_every_call(monkeypatch):
    """As in OneDL's mmengine, from a module of yapf."""
    monkeypatch.delattr(mmengine.config.config, 'FormatCode', raising=False)

    def pretty_text(self):
        from yapf.yapflib.yapf_api import FormatCode

        return FormatCode(repr(self))[0]

    seen = []
    monkeypatch.setattr(Config, 'pretty_text', property(pretty_text))
    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text: (seen.append(text) or text, True))
    assert preferences.patch_config_layout() and not preferences.patch_config_layout()
    cfg = Config(dict(a=1))
    assert cfg.pretty_text == cfg.pretty_text == repr(cfg) and len(seen) == 1
