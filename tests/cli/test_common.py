import argparse
import pickle

import pytest
from mmengine.registry import MODEL_WRAPPERS, MODELS, DefaultScope

from shake_mm import cli
from shake_mm.errors import UsageError


def run(error: BaseException | None, debug: bool = False) -> int:
    def command(args: argparse.Namespace) -> None:
        if error is not None:
            raise error

    return cli.run(command, argparse.Namespace(debug=debug))


def assert_one_sentence(capsys, *parts: str) -> None:
    out, err = capsys.readouterr()
    assert out == ''
    assert err.startswith('error: ') and err.count('\n') == 1
    for part in parts:
        assert part in err


def test_success_is_silent(capsys):
    assert run(None) == 0
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize(
    'error',
    [UsageError('key x\n  is wrong'), FileNotFoundError('key x is wrong'), PermissionError(13, 'is wrong', 'key x')],
)
def test_user_errors_are_one_sentence(capsys, error):
    assert run(error) == 1
    assert_one_sentence(capsys, 'key x', 'is wrong')


def test_debug_shows_the_traceback():
    with pytest.raises(UsageError):
        run(UsageError('wrong'), debug=True)


@pytest.mark.parametrize('error', [RuntimeError('defect'), KeyError('defect'), AssertionError()])
def test_defects_pass_through(error):
    with pytest.raises(type(error)):
        run(error)


def test_interruption(capsys):
    assert run(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == 'interrupted\n'


@pytest.mark.parametrize(
    ('registry', 'name', 'nearest'),
    [
        (MODELS, 'mmpretrain.ResNett', 'mmpretrain.ResNet'),
        (MODELS, 'mmpretrain.LinearClsHed', 'mmpretrain.LinearClsHead'),
        (MODELS, 'ResNett', 'ResNet'),
        (MODELS, 'RetinaNett', 'mmdet.RetinaNet'),
        (MODEL_WRAPPERS, 'MMDistributedDataParalel', 'MMDistributedDataParallel'),
    ],
)
def test_unknown_types_name_the_nearest(capsys, registry, name, nearest):
    with DefaultScope.overwrite_default_scope('mmpretrain'), pytest.raises(KeyError) as info:
        registry.build(dict(type=name))
    assert run(info.value) == 1
    assert_one_sentence(capsys, f'type {name} is not in the', f'did you mean {nearest}')


def test_unknown_type_without_a_near_one(capsys):
    with pytest.raises(KeyError) as info:
        MODELS.build(dict(type='Qqqqqqqqqqq'))
    assert run(info.value) == 1
    assert_one_sentence(capsys, 'check its spelling')


def test_unsafe_checkpoint(capsys):
    assert run(pickle.UnpicklingError('Weights only load failed.\n Unsupported global: GLOBAL some.Thing was not')) == 1
    assert_one_sentence(capsys, '`some.Thing`', 'weights and plain values')


@pytest.mark.parametrize(
    ('text', 'part'),
    [
        ('a = [', 'was never closed'),
        ('a = b', "name 'b' is not defined"),
        ("_base_ = './missing.py'", 'missing.py'),
        ("_base_ = 'nosuch::a/b.py'", 'nosuch'),
        ("_base_ = 'shake_mm::_base_/missing.py'", 'missing.py'),
    ],
)
def test_broken_configs(tmp_path, text, part):
    path = tmp_path / 'config.py'
    path.write_text(text)
    with pytest.raises(UsageError, match='config .* cannot be read') as info:
        cli.load_config(str(path))
    assert part in str(info.value) and '\n' not in str(info.value)


def test_missing_and_unsupported_configs(tmp_path):
    with pytest.raises(UsageError, match='does not exist'):
        cli.load_config(str(tmp_path / 'missing.py'))
    (tmp_path / 'config.txt').touch()
    with pytest.raises(UsageError, match='Only py/yml/yaml/json'):
        cli.load_config(str(tmp_path / 'config.txt'))


def test_options(config):
    cfg = cli.load_config(str(config), {'optim_wrapper.optimizer.lr': 0.2})
    assert cfg.optim_wrapper.optimizer.lr == 0.2
    with pytest.raises(UsageError, match='--cfg-options do not fit'):
        cli.load_config(str(config), {'model.type.inner': 1})


def test_work_dir(config):
    cfg = cli.load_config(str(config))
    cli.set_work_dir(cfg, argparse.Namespace(work_dir=None, config=str(config)))
    assert cfg.work_dir == 'work_dirs/config'
    cli.set_work_dir(cfg, argparse.Namespace(work_dir=None, config='other.py'))
    assert cfg.work_dir == 'work_dirs/config'
    cli.set_work_dir(cfg, argparse.Namespace(work_dir='given', config=str(config)))
    assert cfg.work_dir == 'given'


def test_checkpoint_path(tmp_path):
    assert cli.existing_checkpoint('https://host/file.pth') == 'https://host/file.pth'
    with pytest.raises(UsageError, match='missing.pth does not exist'):
        cli.existing_checkpoint(str(tmp_path / 'missing.pth'))


def test_a_worker_that_ends_while_another_s_death_is_told(capsys):
    """PyTorch's handler of SIGCHLD raises in whatever the main process is doing."""
    import os
    import signal

    def again(*args):
        raise RuntimeError('DataLoader worker (pid 2) is killed by signal: Killed.')

    def die(args):
        signal.signal(signal.SIGCHLD, again)
        os.kill(os.getpid(), signal.SIGCHLD)

    class Late(UsageError):
        def __str__(self):
            os.kill(os.getpid(), signal.SIGCHLD)  # another one, as the error is put into words
            return 'told once'

    def late(args):
        signal.signal(signal.SIGCHLD, again)
        raise Late

    before = signal.getsignal(signal.SIGCHLD)
    try:
        for command, words in ((die, '(pid 2) died'), (late, 'told once')):
            assert cli.run(command, argparse.Namespace(debug=False)) == 1
            (line,) = capsys.readouterr().err.splitlines()
            assert words in line
    finally:
        signal.signal(signal.SIGCHLD, before)
