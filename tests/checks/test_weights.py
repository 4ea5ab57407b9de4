"""The checkpoint that a run starts from is looked at before the run, wherever it is."""

import hashlib

import pytest
import torch

from shake_mm.checks.weights import read_start
from shake_mm.errors import UsageError
from tests.bad_inputs.case import Case, load_tool, try_in_process
from tests.bad_inputs.site import state_of, weights_of
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
    from tests.bad_inputs.site import Site

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
