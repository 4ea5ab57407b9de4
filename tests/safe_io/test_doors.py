"""No tool runs what is in weights, annotations or YAML, wherever they come from."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmengine.runner.checkpoint
import pytest
import torch
import torch.hub

from tests.bad_inputs.case import Case, try_in_own_process, try_in_process
from tests.bad_inputs.site import Site
from tests.support import forged
from tests.support.loopback import NAMES, serving, stand_in
from tests.support.pickles import Call

TAR, SCRIPT = 'code_tar.pth', 'code_script.pth'
LOCAL = ('code.pth', 'code_legacy.pth', TAR, SCRIPT)
PAYLOADS = dict(forged.payloads())
YAML = f'!!python/object/apply:os.system ["{forged.COMMAND}"]'


# ------------------------------------------------------------------------------------------------ weights
def _teacher(site: Site, source: str) -> list[str]:
    return site.kd({'model.teachers.0.checkpoint': source})


def _load_from(site: Site, source: str) -> list[str]:
    return site.plain({'load_from': source})


def _resume(site: Site, source: str) -> list[str]:
    return site.plain({}, '--resume', source)


def _pretrained(site: Site, source: str) -> list[str]:
    return site.plain({'model.init_cfg': dict(type='Pretrained', checkpoint=source)})


def _pretrained_student(site: Site, source: str) -> list[str]:
    return site.kd({'model.student.backbone.init_cfg': dict(type='Pretrained', checkpoint=source, prefix='backbone')})


def _test(site: Site, source: str) -> list[str]:
    config, *work = site.plain()
    return [config, source, *work]


def _export(site: Site, source: str) -> list[str]:
    return [site.kd()[0], source, str(site.path / 'exported')]


def _deploy(site: Site, source: str) -> list[str]:
    return [site.kd()[0], source, str(site.path / 'deployed.pt'), '--shape', '16']


def _convert(site: Site, source: str) -> list[str]:
    return ['--arch', 'resnet8', source, str(site.path / 'converted.pth')]


def _cache(site: Site, source: str) -> list[str]:
    return [_teacher(site, source)[0], '--folder', str(site.path / 'caches')]


def _benchmark_teacher(site: Site, source: str) -> list[str]:
    return [site.kd()[0], '--student', source]


USERS = {
    'teacher': (_teacher, 'train'),
    'load_from': (_load_from, 'train'),
    'resume': (_resume, 'train'),
    'init_cfg': (_pretrained, 'train'),
    'init_cfg of the student': (_pretrained_student, 'train'),
    'test': (_test, 'test'),
    'export': (_export, 'export_student'),
    'deploy': (_deploy, 'deploy'),
    'convert': (_convert, 'model_converters/crd_to_mmpretrain'),
    'cache': (_cache, 'cache_teacher'),
    'benchmark': (_benchmark_teacher, 'benchmarks.compare_teachers'),
}
"""Everything that reads weights: how it is told of them, and the tool."""


@pytest.fixture(scope='module')
def address() -> Iterator[str]:
    with serving({'net.pth': PAYLOADS['code.pth']}) as folder:
        yield f'{folder}/net.pth'


@pytest.fixture
def source(request: Any, address: str, tmp_path: Path, tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the payload is, by every way there is."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path_factory.mktemp('torch')))
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    stand_in(monkeypatch, address, PAYLOADS['code.pth'])
    if request.param == 'http':
        return address
    if request.param in LOCAL:
        (tmp_path / request.param).write_bytes(PAYLOADS[request.param])
        return str(tmp_path / request.param)
    return request.param


def _case(user: str, source: str) -> Case:
    prepare, tool = USERS[user]
    tells = ('is a tar archive', 'save it again') if source.endswith(TAR) else ('holds code', 'publish it again')
    tells = ('is a program', 'save the `state_dict`') if source.endswith(SCRIPT) else tells
    return Case('checkpoint', f'code by {source}', lambda site: prepare(site, source), *tells, tool)


def _assert_closed(outcome: str, folder: Path) -> None:
    assert outcome == 'pass'
    assert not list(folder.rglob(forged.MARKER)) and not Path(forged.MARKER).exists()


@pytest.mark.parametrize('source', [*LOCAL, 'http', *NAMES], indirect=True)
@pytest.mark.parametrize('user', USERS)
def test_no_tool_runs_what_is_in_weights(user: str, source: str, tmp_path: Path):
    case = _case(user, source)
    _assert_closed(try_in_process(case, tmp_path).verdict(case), tmp_path)


@pytest.mark.parametrize('source', ['http'], indirect=True)
def test_nor_in_a_process_of_its_own(source: str, tmp_path: Path):
    case = _case('load_from', source)
    _assert_closed(try_in_own_process(case, tmp_path).verdict(case), tmp_path)


@pytest.mark.parametrize('source', ['http'], indirect=True)
def test_the_payload_runs_where_nothing_guards(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The loader of mmengine that the tools would use; so it is not the payload that is broken."""
    monkeypatch.chdir(tmp_path)
    mmengine.runner.checkpoint.load_from_http(source, map_location='cpu')
    assert (tmp_path / forged.MARKER).is_file()


# ------------------------------------------------------------------------------------------------ annotations
def _annotations(site: Site, name: str, content: str | bytes) -> list[str]:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    dataset = dict(type='mmpretrain.BaseDataset', ann_file=site.write(name, content), pipeline=pipeline)
    return site.folder({'train_dataloader.dataset': dataset})


def _proposals(site: Site, name: str, content: bytes) -> list[str]:
    return site.scenes({'train_dataloader.dataset.proposal_file': site.write(name, content)})


SHELL = pickle.dumps(Call(os.system, forged.COMMAND))
DATA = {
    'pickled annotations': (
        lambda site: _annotations(site, 'list.pkl', SHELL),
        'list.pkl is a pickle',
        'trust_pickles',
    ),
    'pickled annotations, long name': (
        lambda site: _annotations(site, 'list.pickle', SHELL),
        'list.pickle is a pickle',
        'convert it to JSON',
    ),
    'annotations in YAML': (lambda site: _annotations(site, 'list.yaml', YAML), 'list.yaml', 'plain YAML'),
    'annotations in YML': (lambda site: _annotations(site, 'list.yml', YAML), 'list.yml', 'plain YAML'),
    'pickled proposals': (lambda site: _proposals(site, 'p.pkl', SHELL), 'p.pkl is a pickle', 'trust_pickles'),
}


@pytest.mark.parametrize('kind', DATA)
def test_no_tool_runs_what_is_in_annotations(kind: str, tmp_path: Path):
    case = Case('annotation', kind, *DATA[kind])
    _assert_closed(try_in_process(case, tmp_path).verdict(case), tmp_path)


CONFIGURED = {
    'train': ('{config}',),
    'test': ('{config}', '{checkpoint}'),
    'cache_teacher': ('{config}',),
    'export_student': ('{config}', '{checkpoint}', '{folder}/out'),
    'run_grid': ('{config}', '--work-dir', '{folder}/grid'),
    'tune': ('{config}', '--work-dir', '{folder}/tune'),
    'misc/print_config': ('{config}',),
    'misc/taps': ('{config}',),
    'misc/describe_configs': ('{config}', '--out', '{folder}/page.md'),
    'benchmarks.compare_steps': ('--pair', '{config}'),
    'benchmarks.compare_pipelines': ('{config}',),
    'benchmarks.compare_teachers': ('{config}',),
    'analysis.sweep': ('{config}',),
}
"""Tools that take a config, and how."""


@pytest.mark.parametrize('tool', CONFIGURED)
def test_no_tool_runs_what_is_in_a_yaml_config(tool: str, tmp_path: Path):
    def prepare(site: Site) -> list[str]:
        checkpoint = site.save({'state_dict': {'a': torch.ones(1)}})
        config = site.write('run.yaml', f'model: {YAML}\n')
        return [part.format(config=config, checkpoint=checkpoint, folder=site.path) for part in CONFIGURED[tool]]

    case = Case('config', 'YAML', prepare, 'run.yaml', 'plain YAML', tool)
    _assert_closed(try_in_process(case, tmp_path).verdict(case), tmp_path)


def test_pickles_are_read_where_the_config_trusts_them(tmp_path: Path):
    content = dict(metainfo=dict(classes=('a', 'b')), data_list=[])

    def prepare(site: Site) -> list[str]:
        site.image('data/class0/0.png')
        content['data_list'] = [dict(img_path=str(site.path / 'data/class0/0.png'), gt_label=i % 2) for i in range(4)]
        argv = _annotations(site, 'list.pkl', pickle.dumps(content))
        return [*argv, '--cfg-options', 'trust_pickles=True']

    assert try_in_process(Case('annotation', 'trusted', prepare, '', ''), tmp_path).status == 0


@pytest.mark.parametrize('word', ['yes', '1', 'None'])
def test_trust_is_a_plain_word(word: str, tmp_path: Path):
    def prepare(site: Site) -> list[str]:
        return site.plain({}, '--cfg-options', f'trust_pickles={word}')

    case = Case('config', 'trust', prepare, 'trust_pickles', 'must be')
    assert try_in_process(case, tmp_path).verdict(case) == 'pass'


# ------------------------------------------------------------------------------------------------ results
RESULTS = {
    'analysis.build_table': ((), 'not run as code'),
    'analysis.build_study': (('--study', 'exchange', '--pair', 'resnet14_resnet8'), 'no finished run'),
}
"""Tools that read what runs left: their options, and what they say where no run can be read."""


@pytest.mark.parametrize('tool', RESULTS)
def test_no_table_runs_what_is_in_a_result_folder(tool: str, tmp_path: Path):
    """The folder of a run that came from elsewhere holds a config, which is its own row's loss alone."""

    def prepare(site: Site) -> list[str]:
        run = site.path / 'results' / 'run'
        site.write(
            'results/run/kd_resnet14_resnet8_digits100.py',
            f'import os\nos.system({forged.COMMAND!r})\ntrain_cfg = dict(max_epochs=1)\nmodel = dict(student=dict())\n',
        )
        site.write(f'results/{run.name}/20260101_000000/vis_data/scalars.json', '{"accuracy/top1": 90.0, "step": 1}\n')
        return [str(run.parent), *RESULTS[tool][0]]

    case = Case('results', 'code', prepare, 'results', RESULTS[tool][1], tool)
    _assert_closed(try_in_process(case, tmp_path).verdict(case), tmp_path)
