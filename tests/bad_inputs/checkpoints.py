"""Bad inputs: checkpoints, of teachers, to start from, to go on from, to test, to convert and to export."""

import os
import pickle
import zipfile

import torch

from .case import Case
from .site import Site, state_of, weights_of


class _Harmful:
    """What runs a command when it is unpickled without care."""

    def __reduce__(self):
        return os.system, ('touch executed.pth',)


def _teacher(content, name: str = 'bad.pth'):
    """Distil from a teacher whose checkpoint has this content."""

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
    site.write('work/last_checkpoint', str(site.work / 'epoch_3.pth'))
    return site.plain({}, '--resume')


def _folder(site: Site) -> list[str]:
    (site.path / 'bad.pth').mkdir()
    return site.kd({'model.teachers.0.checkpoint': str(site.path / 'bad.pth')})


def _not_finite() -> dict:
    return {key: value * float('nan') if key == 'head.fc.weight' else value for key, value in state_of(8).items()}


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
        "to start from, a distiller's for the student alone",
        _start({f'student.{key}': value for key, value in state_of(6).items()}),
        'bad.pth',
        'give the config',
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
]
