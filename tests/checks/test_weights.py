"""The checkpoint that a run starts from is looked at before the run, wherever it is."""

import hashlib
import json

import pytest
import torch
from mmengine.config import Config

from shake_mm.checks.weights import read_start
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tests.bad_inputs.case import Case, load_tool, try_in_process
from tests.bad_inputs.site import Site, classifier_of, state_of, weights_of
from tests.support.loopback import serving
from tests.support.runs import run_config


@pytest.fixture(autouse=True)
def hub(monkeypatch, tmp_path_factory):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path_factory.mktemp('torch')))


@pytest.mark.parametrize('user', ['load_from', 'resume', 'test'])
def test_weights_of_another_network_by_address(user, tmp_path):
    with serving({'net.pth': weights_of(9)}) as folder:

        def prepare(site):
            source = f'{folder}/net.pth'
            if user == 'test':
                config, *work = site.plain()
                return [config, source, *work]
            return site.plain({'load_from': source, 'resume': user == 'resume'})

        case = Case('checkpoint', user, prepare, 'has only', 'give the config', 'test' if user == 'test' else 'train')
        assert try_in_process(case, tmp_path).verdict(case) == 'pass'


def test_weights_by_address_are_started_from(tmp_path, monkeypatch, capsys):
    """Those of the network itself, without training: what is tested is what was read."""
    content = weights_of(6)
    name = f'net-{hashlib.sha256(content).hexdigest()[:8]}.pth'
    with serving({name: content}) as folder:
        site = Site(tmp_path, monkeypatch)
        argv = site.plain({'load_from': f'{folder}/{name}', 'optim_wrapper.optimizer.lr': 0.0})
        assert load_tool('train').main(argv) == 0
    found = torch.load(site.work / 'epoch_1.pth', weights_only=True)['state_dict']
    assert torch.equal(found['head.fc.weight'], state_of(6)['head.fc.weight'])


def test_without_a_start(tmp_path, make_classifier):
    assert read_start(run_config(make_classifier(), tmp_path / 'run'), 'train') is None
    cfg = run_config(make_classifier(), tmp_path / 'run', load_from='http://127.0.0.1:9/x.pth')
    with pytest.raises(UsageError, match=r'^load_from: checkpoint .* cannot be fetched'):
        read_start(cfg, 'train')


def test_the_key_is_text(tmp_path, make_classifier):
    cfg = run_config(make_classifier(), tmp_path / 'run', load_from='x.pth', load_from_key=3)
    with pytest.raises(UsageError, match='load_from_key is 3, but it must be text'):
        read_start(cfg, 'train')


# ------------------------------------------------------------------------------------------------ layouts of others
def prefixed(prefix, state):
    return {f'{prefix}{name}': value for name, value in state.items()}


MINE, OTHER = state_of(6), {name: value + 1 for name, value in state_of(6).items()}
LAYOUTS = {
    'DataParallel': (dict(model=prefixed('module.', MINE), epoch=3), None),
    'averaged alone': (dict(ema_state_dict={**prefixed('module.', MINE), 'steps': torch.ones(())}), None),
    'Lightning': (dict(state_dict=prefixed('model.', MINE)), None),
    'a distiller': (dict(state_dict={**prefixed('student.', MINE), **prefixed('proxies.proxy0.', OTHER)}), None),
    'SoftTeacher': (dict(state_dict={**prefixed('student.', OTHER), **prefixed('teacher.', MINE)}), 'teacher'),
}


def trained_with_rate_0(site, argv):
    assert load_tool('train').main(argv) == 0
    return torch.load(site.work / 'epoch_1.pth', weights_only=True)['state_dict']


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('distilled', [False, True])
def test_runs_start_from_what_teachers_are_read_from(layout, distilled, tmp_path, monkeypatch):
    site = Site(tmp_path, monkeypatch)
    content, key = LAYOUTS[layout]
    start = {'load_from': site.save(content, 'start.pth'), 'load_from_key': key, 'optim_wrapper.optimizer.lr': 0.0}
    found = trained_with_rate_0(site, (site.kd if distilled else site.plain)(start))
    weights = [name for name in MINE if 'running' not in name and 'tracked' not in name]
    prefix = 'student.' if distilled else ''
    assert weights and all(torch.equal(found[prefix + name], MINE[name]) for name in weights)


def test_averages_start_from_them_too(tmp_path, monkeypatch):
    """EMAHook takes its copy of the weights from the same file."""
    site = Site(tmp_path, monkeypatch)
    content = dict(model=prefixed('module.', MINE))
    start = {'load_from': site.save(content, 'start.pth'), 'custom_hooks': [dict(type='EMAHook')]}
    argv = site.plain({**start, 'optim_wrapper.optimizer.lr': 0.0})
    assert torch.equal(trained_with_rate_0(site, argv)['head.fc.weight'], MINE['head.fc.weight'])


def test_a_distiller_starts_as_a_whole(tmp_path, monkeypatch):
    """From what it wrote itself, its proxies too."""
    site = Site(tmp_path, monkeypatch)
    changes = {'model.type': 'shake_mm.SHAKE', 'optim_wrapper.optimizer.lr': 0.0}
    first = trained_with_rate_0(site, site.kd(changes))
    content = dict(state_dict={name: value + 1 if 'proxies' in name else value for name, value in first.items()})
    second = trained_with_rate_0(site, site.kd({**changes, 'load_from': site.save(content, 'start.pth')}))
    proxies = [name for name in first if name.startswith('proxies.') and name.endswith('.weight')]
    assert proxies and all(torch.equal(second[name], first[name] + 1) for name in proxies)


def test_side_by_side_a_distiller_asks_too(tmp_path):
    content = dict(state_dict={**prefixed('student.', MINE), **prefixed('teacher.', OTHER)})
    prepare = lambda site: site.kd({'load_from': site.save(content, 'two.pth')})  # noqa: E731
    case = Case('checkpoint', 'two', prepare, 'two.pth', 'say which by `load_from_key`')
    assert try_in_process(case, tmp_path).verdict(case) == 'pass'


def test_all_layouts_test_alike(tmp_path, monkeypatch):
    site = Site(tmp_path, monkeypatch)
    config, *work = site.plain()
    found = []
    for layout, (content, key) in {'plain': (MINE, None), **LAYOUTS}.items():
        out, source = tmp_path / f'{layout}.json', site.save(content, f'{layout}.pth')
        options = ['--out', str(out), '--out-item', 'metrics', *(['--key', key] if key else [])]
        assert load_tool('test').main([config, source, *work, *options]) == 0
        found.append(json.loads(out.read_text()))
    assert found[0] and all(metrics == found[0] for metrics in found)


def test_all_layouts_export_alike(tmp_path, monkeypatch):
    site = Site(tmp_path, monkeypatch)
    (config, *_) = site.kd()
    for layout, (content, key) in LAYOUTS.items():
        out = tmp_path / layout
        argv = [config, site.save(content, 'x.pth'), str(out), *(['--key', key] if key else [])]
        assert load_tool('export_student').main(argv) == 0
        (path,) = out.glob('*.pth')
        written = torch.load(path, weights_only=True)['state_dict']
        assert list(written) == list(MINE) and all(torch.equal(written[name], MINE[name]) for name in MINE)


def test_a_teacher_by_its_key(tmp_path, monkeypatch):
    """Of two networks in a file, and again when the weights are initialized."""
    site = Site(tmp_path, monkeypatch)
    state = state_of(8)
    both = {**prefixed('student.', {name: value + 1 for name, value in state.items()}), **prefixed('teacher.', state)}
    source = site.save(dict(state_dict=both), 'two.pth')
    teacher = {'model.teachers.0.checkpoint': source, 'model.teachers.0.key': 'teacher'}
    for trainable in (False, True):
        (config, *_) = site.kd({**teacher, 'model.teachers.0.trainable': trainable})
        model = MODELS.build(Config.fromfile(config).model)
        model.init_weights()
        found = model.members.networks['teacher0'].state_dict()
        assert list(found) == list(state) and all(torch.equal(found[name], state[name]) for name in state)


@pytest.mark.parametrize('layout', ['safetensors', 'wrapped', 'average', 'distiller'])
def test_a_student_starts_from_whatever_a_teacher_does(layout, tmp_path, monkeypatch):
    """One file is the teacher's checkpoint, and what the student starts from; nothing is learned."""
    site, state = Site(tmp_path, monkeypatch), state_of(8)
    layouts = {
        'wrapped': {'model': {f'module.{name}': value for name, value in state.items()}},
        'average': {'ema_state_dict': {f'architecture.{name}': value for name, value in state.items()}},
        'distiller': {'state_dict': {f'student.{name}': value for name, value in state.items()}},
    }
    if layout == 'safetensors':
        path = str(tmp_path / 'a.safetensors')
        pytest.importorskip('safetensors.torch').save_file(state, path)
    else:
        path = site.save(layouts[layout])
    argv = site.kd(
        {
            'model.student': classifier_of(8),
            'model.teachers.0.checkpoint': path,
            'load_from': path,
            'optim_wrapper.optimizer.lr': 0.0,
        }
    )
    assert load_tool('train').main(argv) == 0
    found = torch.load(site.work / 'epoch_1.pth', weights_only=True)['state_dict']
    names = [name for name in state if 'running' not in name and 'tracked' not in name]
    assert all(torch.equal(found[f'student.{name}'], state[name]) for name in names)
