"""The workarounds as a whole: who gets them, that they act once, and that they leave alone what looks otherwise."""

import logging

import pytest

from shake_mm.compat import workarounds

from .processes import owner_of, python

NEEDED = {
    'message_hub': ['mmengine.logging:MessageHub.state_dict', 'mmengine.logging:MessageHub.load_state_dict'],
    'cpu_launch': ['mmengine.dist.utils:_init_dist_pytorch', 'mmengine.dist.utils:_init_dist_slurm'],
    'config_paths': ['mmengine.config:Config._get_cfg_path', 'mmengine.config.utils:MODULE2PACKAGE'],
    'package_names': ['mmengine.config.utils:MODULE2PACKAGE'],
    'test_split': ['mmengine.dataset:BaseDataset.full_init'],
    'wrapped_names': ['mmpretrain.models.classifiers.timm:TimmClassifier._add_state_dict_prefix'],
    'optimizer_hooks': ['torch._dynamo.eval_frame:TorchPatcher.patch'],
    'installed_path': ['mmengine.utils:get_installed_path'],
}
CASES = [(name, needed) for name, all_needed in NEEDED.items() for needed in all_needed]


def test_all_act_once():
    assert not any(workarounds.apply_workarounds().values())


@pytest.mark.parametrize(('name', 'needed'), CASES)
def test_another_upstream_is_left_alone(name, needed, monkeypatch, caplog):
    monkeypatch.delattr(*owner_of(needed))
    caplog.set_level(logging.DEBUG, 'shake_mm.compat')
    assert getattr(workarounds, f'workaround_{name}')() is False
    assert f'workaround_{name} does nothing, since {needed} does not exist' in caplog.text


def test_the_package_can_be_imported_beside_another_upstream():
    """Without any of the names that are not part of mmengine's public interface."""
    result = python("""
import mmengine.config, mmengine.config.utils, mmengine.dist.utils, mmengine.logging
for name in ('_init_dist_pytorch', '_init_dist_mpi', '_init_dist_slurm'):
    delattr(mmengine.dist.utils, name)
del mmengine.config.Config._get_cfg_path
import logging
logging.getLogger('shake_mm.compat').addHandler(logging.StreamHandler())
logging.getLogger('shake_mm.compat').setLevel('DEBUG')
import shake_mm
""")
    assert result.returncode == 0, result.stderr
    for name in ('cpu_launch', 'config_paths'):
        assert f'workaround_{name} does nothing' in result.stderr


def test_a_warning_free_import_says_nothing():
    result = python('import shake_mm')
    assert result.returncode == 0 and 'does nothing' not in result.stdout + result.stderr
