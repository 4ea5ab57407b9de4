"""The conventions of OpenMMLab's installer, by the real openmim and onedl-mim, each in an environment of its own."""

import subprocess

import pytest
import yaml

from .support import tiny
from .support.environments import fresh, install, run
from .support.loopback import serving
from .support.wheels import build_wheel, copy_sources

pytestmark = pytest.mark.slow

CONFIG = 'kd_resnet14_resnet8_digits100'
NEEDED = {
    'openmim': ('setuptools<61', 'colorama', 'pandas', 'pytz', 'tabulate', 'opendatalab', 'openxlab', 'oss2'),
    'onedl-mim': ('colorama', 'pandas', 'pytz', 'tabulate', 'opendatalab', 'openxlab'),
}
"""What each asks for and this environment lacks; openmim pins setuptools to 60, where torch asks for 77 and later."""


def environment(folder, distribution):
    """An environment with a mim; skipped where there is no package index."""
    programs = fresh(folder / 'env')
    answer = install(programs, '--no-deps', distribution, *NEEDED[distribution])
    if answer.returncode:
        pytest.skip(f'the package index gives no {distribution}: {answer.stderr.strip().splitlines()[-1]}')
    return programs


@pytest.fixture(scope='module')
def mim(tmp_path_factory):
    """The program of openmim, beside the wheel."""
    folder = tmp_path_factory.mktemp('openmim')
    programs = environment(folder, 'openmim')
    wheel = build_wheel(copy_sources(folder / 'source'), folder)
    install(programs, '--no-index', '--no-deps', str(wheel))
    return programs


@pytest.fixture(scope='module')
def onedl_mim(tmp_path_factory):
    """The program of onedl-mim, beside an editable installation: it takes a wheel's first file for the package."""
    folder = tmp_path_factory.mktemp('onedl')
    programs = environment(folder, 'onedl-mim')
    source = copy_sources(folder / 'source')
    install(programs, '--no-index', '--no-deps', '--no-build-isolation', '--editable', str(source))
    return programs


@pytest.fixture(params=['mim', 'onedl_mim'])
def programs(request):
    return request.getfixturevalue(request.param)


def call(programs, *arguments, cwd) -> subprocess.CompletedProcess:
    """Call mim, which must succeed."""
    result = run(programs, 'mim', *arguments, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def test_train_and_test(programs, tmp_path):
    (tmp_path / 'config.py').write_text(tiny.CLASSIFIERS)
    call(programs, 'train', 'shake_mm', 'config.py', '--gpus', 0, '--work-dir', 'run', cwd=tmp_path)
    checkpoint = ('--checkpoint', 'run/epoch_1.pth')
    tested = call(programs, 'test', 'shake_mm', 'config.py', *checkpoint, '--gpus', 0, cwd=tmp_path)
    assert 'accuracy/top1' in tested.stdout


def test_run(programs, tmp_path):
    printed = call(programs, 'run', 'shake_mm', 'print_config', f'shake_mm::kd/{CONFIG}.py', cwd=tmp_path)
    assert "type='shake_mm.KD'" in printed.stdout


def test_a_config_by_its_name(mim, tmp_path):
    started = run(mim, 'mim', 'train', 'shake_mm', f'shake_mm::kd/{CONFIG}.py', '--gpus', 0, cwd=tmp_path)
    assert f'configs/kd/{CONFIG}.py' in started.stdout  # found in the package
    assert 'resnet14_digits100/epoch_20.pth' in started.stderr  # and refused for the lack of the teacher's weights


def test_onedl_mim_finds_a_name_twice(onedl_mim, tmp_path):
    """In the checkout and under the links of the package; the page says to give a path."""
    started = run(onedl_mim, 'mim', 'train', 'shake_mm', f'shake_mm::kd/{CONFIG}.py', '--gpus', 0, cwd=tmp_path)
    assert started.returncode != 0 and 'multiple config files' in ' '.join(started.stderr.split())


def test_search(programs, tmp_path):
    found = call(programs, 'search', 'shake_mm', '--config', CONFIG, cwd=tmp_path).stdout
    assert f'configs/kd/{CONFIG}.py' in found and 'knowledge distillation' in found
    assert '95.28' in found  # what docs/table4_digits100.md has
    assert 'shake_resnet14' in call(programs, 'search', 'shake_mm', '--model', 'shake', cwd=tmp_path).stdout


def test_download_without_weights_ends_in_a_sentence(programs, tmp_path):
    result = run(programs, 'mim', 'download', 'shake_mm', '--config', CONFIG, '--dest', '.', cwd=tmp_path)
    sentence = result.stderr.strip().splitlines()[-1]
    assert result.returncode != 0 and 'Expected fields' in sentence and "but got {'weight'}" in sentence


def test_download_from_a_server(mim, tmp_path):
    """With a metafile that names weights, mim fetches them and writes the config beside them."""
    (metafile,) = mim.parent.glob('lib/python*/site-packages/shake_mm/.mim/configs/kd/metafile.yml')
    before = metafile.read_text()
    content = yaml.safe_load(before)
    (model,) = (model for model in content['Models'] if model['Name'] == CONFIG)
    with serving({'student-0123abcd.pth': b'weights'}) as address:
        model['Weights'] = f'{address}/student-0123abcd.pth'
        metafile.write_text(yaml.safe_dump(content))
        try:
            call(mim, 'download', 'shake_mm', '--config', CONFIG, '--dest', 'got', cwd=tmp_path)
        finally:
            metafile.write_text(before)
    assert (tmp_path / 'got/student-0123abcd.pth').read_bytes() == b'weights'
    assert "type='shake_mm.KD'" in (tmp_path / f'got/{CONFIG}.py').read_text()
