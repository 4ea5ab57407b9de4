"""Bad inputs: checkpoints, of teachers, to start from, to go on from, to test, to convert and to export."""

import os
import pickle
import zipfile

import torch

from tests.support import forged
from tests.support.crd_networks import random_state

from .case import Case
from .site import Site, state_of, weights_of

FORGED = dict([*forged.payloads(), *forged.forgeries()])


class _Harmful:
    """What runs a command when it is unpickled without care."""

    def __reduce__(self):
        return os.system, ('touch executed.pth',)


def _forged(name: str):
    """Distill from a teacher whose checkpoint is one of the forged files."""

    def prepare(site: Site) -> list[str]:
        return site.kd({'model.teachers.0.checkpoint': site.write(name, FORGED[name])})

    return prepare


def _kind(value):
    """Distill from a teacher one of whose weights is of a kind that is not read."""

    def prepare(site: Site) -> list[str]:
        state = {**state_of(8), 'head.fc.bias': value()}
        return site.kd({'model.teachers.0.checkpoint': site.save({'state_dict': state}, 'bad.pth')})

    return prepare


def _teacher(content, name: str = 'bad.pth'):
    """Distill from a teacher whose checkpoint has this content."""

    def prepare(site: Site) -> list[str]:
        path = site.write(name, content) if isinstance(content, bytes) else site.save(content, name)
        return site.kd({'model.teachers.0.checkpoint': path})

    return prepare


def _start(content, **changes):
    def prepare(site: Site) -> list[str]:
        path = site.write('bad.pth', content) if isinstance(content, bytes) else site.save(content, 'bad.pth')
        return site.plain({'load_from': path, **changes})

    return prepare


def _zip_of_text(site: Site) -> list[str]:
    with zipfile.ZipFile(site.path / 'bad.pth', 'w') as archive:
        archive.writestr('readme.txt', 'no weights')
    return site.kd({'model.teachers.0.checkpoint': str(site.path / 'bad.pth')})


def _last_is_gone(site: Site) -> list[str]:
    site.write('earlier/last_checkpoint', str(site.work / 'epoch_3.pth'))
    return site.plain({}, '--resume')


def _folder(site: Site) -> list[str]:
    (site.path / 'bad.pth').mkdir()
    return site.kd({'model.teachers.0.checkpoint': str(site.path / 'bad.pth')})


def _not_finite() -> dict:
    return {key: value * float('nan') if key == 'head.fc.weight' else value for key, value in state_of(8).items()}


def _side_by_side(channels: int) -> dict:
    """As SoftTeacher saves its two networks."""
    return {f'{part}.{key}': value for part in ('student', 'teacher') for key, value in state_of(channels).items()}


def _test(content):
    def prepare(site: Site) -> list[str]:
        config, *work = site.plain()
        path = site.write('bad.pth', content) if isinstance(content, bytes) else site.save(content, 'bad.pth')
        return [config, path, *work]

    return prepare


def _export(content):
    def prepare(site: Site) -> list[str]:
        path = site.save(content, 'bad.pth')
        return [site.kd()[0], path, str(site.path / 'exported')]

    return prepare


def _convert(content):
    def prepare(site: Site) -> list[str]:
        return ['--arch', 'resnet8', site.save(content, 'bad.pth'), str(site.path / 'converted.pth')]

    return prepare


CASES = [
    Case(
        'checkpoint',
        'the file does not exist',
        lambda s: s.kd({'model.teachers.0.checkpoint': 'gone.pth'}),
        'gone.pth',
        'correct the path',
    ),
    Case('checkpoint', 'truncated', _teacher(weights_of(8)[:-2000]), 'bad.pth', 'again'),
    Case('checkpoint', 'empty', _teacher(b''), 'bad.pth', 'again'),
    Case('checkpoint', 'a web page', _teacher(b'<!DOCTYPE html><html>not found</html>'), 'bad.pth', 'again'),
    Case('checkpoint', 'an archive of something else', _zip_of_text, 'bad.pth', 'again'),
    Case('checkpoint', 'a folder', _folder, 'bad.pth', 'correct the path'),
    Case('checkpoint', 'code', _teacher(pickle.dumps(_Harmful(), protocol=2)), 'bad.pth', 'holds code'),
    Case(
        'checkpoint', 'code among weights', _teacher(dict(state_dict=state_of(8), hook=_Harmful())), 'bad.pth', 'code'
    ),
    Case('checkpoint', 'a list', _teacher([1, 2]), 'bad.pth', 'give'),
    Case('checkpoint', 'a log instead of weights', _teacher(dict(epoch=3, loss=0.1)), 'bad.pth', 'give'),
    Case('checkpoint', 'no weights', _teacher(dict(state_dict={})), 'bad.pth', 'give'),
    Case(
        'checkpoint',
        'weights with NaN',
        _teacher(dict(state_dict=_not_finite())),
        'head.fc.weight',
        'earlier',
    ),
    Case(
        'checkpoint',
        'a layer is missing',
        _teacher({k: v for k, v in state_of(8).items() if k != 'head.fc.bias'}),
        'missing head.fc.bias',
        'give the config that it was trained with',
    ),
    Case('checkpoint', 'to start from, truncated', _start(weights_of(6)[:-2000]), 'bad.pth', 'again'),
    Case(
        'checkpoint',
        'to start from, missing',
        lambda s: s.plain({'load_from': 'gone.pth'}),
        'gone.pth',
        'correct the path',
    ),
    Case('checkpoint', 'to start from, of another network', _start({'fc.weight': torch.ones(2)}), 'bad.pth', 'give'),
    Case(
        'checkpoint',
        'to start from, a student and a teacher side by side',
        _start(_side_by_side(6)),
        'bad.pth',
        'say which by `load_from_key`',
    ),
    Case('checkpoint', 'a teacher beside its student', _teacher(_side_by_side(8)), '`teacher`', 'say which by `key`'),
    Case(
        'checkpoint',
        'a key that it lacks',
        lambda s: s.kd({'model.teachers.0.key': 'ema'}),
        "no weights under 'ema'",
        'correct `key`',
    ),
    Case(
        'checkpoint',
        'weights under a key that nobody knows',
        _teacher(dict(generator=state_of(8), critic=state_of(6))),
        '`generator`, `critic`',
        'give `key`',
    ),
    Case(
        'checkpoint',
        'of the CRD benchmark',
        _teacher(dict(model=random_state('resnet8', torch.float32))),
        'unexpected conv1.weight',
        'crd_to_mmpretrain.py',
    ),
    Case(
        'checkpoint',
        'to start from, by a key that is no text',
        _start(state_of(6), load_from_key=3),
        'load_from_key is 3',
        'must be text',
    ),
    Case('checkpoint', 'weights alone to resume from', _start(state_of(6), resume=True), 'bad.pth', 'load_from'),
    Case('checkpoint', 'the last one is gone', _last_is_gone, 'epoch_3.pth', 'last_checkpoint'),
    Case(
        'checkpoint',
        'to test, of another network',
        _test(dict(state_dict={'a': torch.ones(1)})),
        'bad.pth',
        'give',
        'test',
    ),
    Case('checkpoint', 'to test, cut off', _test(weights_of(6)[:1000]), 'bad.pth', 'again', 'test'),
    Case('checkpoint', 'to export, of another student', _export(state_of(8)), 'bad.pth', 'give', 'export_student'),
    Case(
        'checkpoint',
        'to convert, of another network',
        _convert({'conv1.weight': torch.ones(1)}),
        'fc.weight',
        'name the network that was trained',
        'model_converters/crd_to_mmpretrain',
    ),
    Case(
        'checkpoint',
        'a tar archive of torch before 0.1.10',
        _forged('code_tar.pth'),
        'is a tar archive',
        'save it again',
    ),
    Case('checkpoint', 'a program of TorchScript', _forged('code_script.pth'), 'is a program', 'save the `state_dict`'),
    Case('checkpoint', 'code, named by the stack', _forged('code_stack.pth'), 'os.system', 'publish it again'),
    Case('checkpoint', 'code, as a class', _forged('code_newobj.pth'), 'subprocess.Popen', 'publish it again'),
    Case(
        'checkpoint',
        'code, in a file of torch before 1.6',
        _forged('code_legacy.pth'),
        'posix.system',
        'publish it again',
    ),
    Case('checkpoint', 'an array of objects', _forged('objects.pth'), "dtype 'O8'", 'save numbers and text'),
    Case('checkpoint', 'an array larger than its bytes', _forged('array_large.pth'), 'array_large.pth', 'again'),
    Case(
        'checkpoint',
        'a dtype that lies about its size',
        _forged('dtype_state.pth'),
        'structured dtype',
        'save its fields apart',
    ),
    Case(
        'checkpoint',
        'a storage shorter than it claims',
        _forged('storage_short.pth'),
        'a storage of 1000 values',
        'again',
    ),
    Case('checkpoint', 'storages that overlap', _forged('storages_overlap.pth'), 'storages that overlap', 'again'),
    Case(
        'checkpoint',
        'a tensor that reaches out of its storage',
        _forged('tensor_beyond.pth'),
        'reaches out of its storage',
        'again',
    ),
    Case('checkpoint', 'a tensor of 2^64 values', _forged('tensor_wraps.pth'), 'reaches out of its storage', 'again'),
    Case(
        'checkpoint',
        'a tensor of 64 GB in 16 bytes',
        _forged('tensor_repeats.pth'),
        'repeats its 4 values',
        '.contiguous()',
    ),
    Case('checkpoint', 'compressed parts', _forged('compressed.pth'), 'compressed parts', 'save it again'),
    Case('checkpoint', 'values that hold themselves', _forged('recursive.pth'), 'holds itself', 'again'),
    Case('checkpoint', 'values that unfold without end', _forged('laughs.pth'), 'unfold without end', 'again'),
    Case('checkpoint', 'values nested deeply', _forged('deep.pth'), 'nested too deeply', 'again'),
    Case('checkpoint', 'keys that all have one hash', _forged('collisions.pth'), 'a key that is neither', 'again'),
    Case('checkpoint', 'a number of 6000 digits', _forged('digits.pth'), 'thousands of digits', 'again'),
    Case('checkpoint', 'a tensor of 300,000 dimensions', _forged('dimensions.safetensors'), '300000 dim', 'again'),
    Case(
        'checkpoint',
        'names that command a terminal',
        _teacher({f'\x1b[2J\x1b]0;x\x07{key}': value for key, value in state_of(8).items()}),
        '?[2J?]0;x?',
        'give the config that it was trained with',
    ),
    Case('checkpoint', 'a text copied without end', _forged('copies_bytes.pth'), 'unfold without end', 'again'),
    Case(
        'checkpoint',
        'safetensors that reach out of their file',
        _forged('outside.safetensors'),
        'reaches out of it',
        'again',
    ),
    Case('checkpoint', 'sparse weights', _kind(lambda: torch.ones(5).to_sparse()), 'sparse tensor', '.to_dense()'),
    Case('checkpoint', 'weights without values', _kind(lambda: torch.ones(5, device='meta')), 'device meta', 'save it'),
    Case(
        'checkpoint', 'no network', lambda s: s.plain({'load_from': 'http://127.0.0.1:9/x.pth'}), 'x.pth', 'the network'
    ),
    Case(
        'checkpoint', 'an unknown prefix', lambda s: s.plain({'load_from': 'ftp://a/x.pth'}), 'ftp://a/x.pth', 'give a'
    ),
    Case(
        'checkpoint',
        'no such model of a zoo',
        lambda s: s.plain({'load_from': 'mmcls://net'}),
        'mmcls://net',
        'correct',
    ),
]
