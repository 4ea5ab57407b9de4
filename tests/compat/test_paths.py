"""Paths of our configs, from an installation and from a checkout."""

import pytest
from mmengine.config import Config

from shake_mm import compat, stack
from shake_mm.compat.workarounds import paths

from .processes import COMPAT, ROOT, python


def test_own_configs_can_be_a_base(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'shake_mm::_base_/default_runtime.py'\nextra = dict(type='ResNet')")
    plain = python('import sys; from mmengine.config import Config; Config.fromfile(sys.argv[1])', str(config))
    assert 'does not support to load shake_mm config' in plain.stderr
    cfg = Config.fromfile(config)
    own = Config.fromfile(ROOT / 'configs' / '_base_' / 'default_runtime.py')
    assert cfg.extra.type == 'ResNet'
    assert {key: cfg[key] for key in own} == own._cfg_dict.to_dict()
    assert '_scope_' not in cfg.pretty_text


def test_installed_configs_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, 'PACKAGE_DIR', str(tmp_path / 'shake_mm'))
    assert compat.configs_dir() == str(tmp_path / 'configs')
    (tmp_path / 'shake_mm' / '.mim' / 'configs').mkdir(parents=True)
    assert compat.configs_dir() == str(tmp_path / 'shake_mm' / '.mim' / 'configs')


@pytest.mark.parametrize('package', ['mmdet', 'mmseg'])
def test_bases_of_other_packages_keep_their_scope(tmp_path, package):
    schedule = {'mmdet': 'schedule_1x', 'mmseg': 'schedule_20k'}[package]
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = '{package}::_base_/schedules/{schedule}.py'")
    assert Config.fromfile(config).optim_wrapper._scope_ == package


@pytest.mark.parametrize('listed', [True, False])
def test_a_module_whose_distribution_is_called_else(monkeypatch, listed):
    """OneDL's mmseg is in onedl-mmsegmentation."""
    from mmengine.config.utils import MODULE2PACKAGE

    for module, package in {'mmseg': 'mmsegmentation', 'mmaction': 'mmaction2'}.items():
        monkeypatch.setitem(MODULE2PACKAGE, module, package)
    monkeypatch.setattr(paths, '_is_distribution', lambda name: listed)
    assert paths.workaround_package_names() is not listed
    assert MODULE2PACKAGE['mmseg'] == ('mmsegmentation' if listed else 'mmseg')
    assert MODULE2PACKAGE['mmaction'] == 'mmaction2'  # there is no such module
    assert paths.workaround_package_names() is False


@pytest.mark.parametrize('editable', [True, False])
def test_installed_path(tmp_path, editable):
    """An editable installation leaves the metadata alone in site-packages."""
    if editable:
        metadata = tmp_path / 'shake_mm-0.1.0.dist-info'
        metadata.mkdir()
        (metadata / 'METADATA').write_text('Metadata-Version: 2.1\nName: shake_mm\nVersion: 0.1.0\n')
        (metadata / 'top_level.txt').write_text('shake_mm\n')
    where = "from mmengine.utils import get_installed_path; print(get_installed_path('shake_mm'))"
    package = str(ROOT / 'shake_mm')
    plain = python(where, path=tmp_path)
    # OneDL's mmengine looks whether the package is there, and asks Python if not.
    found = not editable or stack.name() == 'onedl'
    assert (plain.stdout.strip() == package) == found, plain.stdout + plain.stderr
    worked_around = python(f'{COMPAT}\nprint(workarounds.workaround_installed_path())\n{where}', path=tmp_path)
    assert worked_around.stdout.split() == [str(editable), package], worked_around.stderr
