"""While the guard is on, what OpenMMLab and torch load is read by us; afterwards all is as before."""

import io
import os
import pickle
import types

import mmengine
import mmpretrain.datasets.cifar
import numpy as np
import pytest
import torch
import torch.hub
import torch.utils.model_zoo
from mmengine.fileio.handlers import PickleHandler, YamlHandler
from mmengine.model import BaseModule
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.safe_io import guard_loaders, trust_pickles
from tests.support import forged
from tests.support.loopback import serving
from tests.support.pickles import Call

SHELL = Call(os.system, forged.COMMAND)
CODE = dict(forged.payloads())['code.pth']


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder that code would leave its mark in."""
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    yield tmp_path / 'here'
    assert not os.path.exists(forged.MARKER)


def state() -> dict:
    owners = (torch, torch.hub, torch.storage, torch.utils.model_zoo, mmengine.runner.checkpoint, np)
    names = ('load', 'load_state_dict_from_url', '_load_from_bytes', 'load_url')
    found = {(owner.__name__, name): getattr(owner, name, None) for owner in owners for name in names}
    found['handlers'] = PickleHandler.load_from_fileobj, YamlHandler.load_from_fileobj
    return {**found, 'schemes': dict(CheckpointLoader._schemes), 'cifar': mmpretrain.datasets.cifar.pickle}


def test_everything_comes_back():
    before = state()
    with guard_loaders():
        inside = state()
        with guard_loaders():
            assert state() == inside
        assert state() == inside
    assert state() == before and inside['schemes'].keys() == before['schemes'].keys()
    assert not set(inside['schemes'].values()) & set(before['schemes'].values())
    with pytest.raises(ZeroDivisionError), guard_loaders():
        raise ZeroDivisionError
    assert state() == before


@pytest.mark.parametrize('options', [{}, dict(weights_only=False), dict(weights_only=True, mmap=True)])
def test_torch_load(options, here):
    torch.save({'a': torch.ones(2)}, 'good.pth')
    (here / 'bad.pth').write_bytes(CODE)
    with guard_loaders():
        assert torch.load('good.pth', map_location='cpu', **options)['a'].tolist() == [1, 1]
        with open('good.pth', 'rb') as file:
            assert torch.load(file, **options)['a'].tolist() == [1, 1]
        for source in ('bad.pth', here / 'bad.pth', io.BytesIO(CODE)):
            with pytest.raises(UsageError, match='holds code'):
                torch.load(source, **options)


@pytest.mark.skipif(not hasattr(mmengine.runner.checkpoint, '_safe_torch_load'), reason="not OneDL's mmengine")
def test_the_second_load_of_onedls_mmengine(here):
    """Outside of the guard it loads again with ``weights_only=False`` what ``weights_only=True`` refuses."""
    (here / 'bad.pth').write_bytes(CODE)
    load = mmengine.runner.checkpoint._safe_torch_load
    for source in ('bad.pth', here / 'bad.pth', io.BytesIO(CODE)):
        with guard_loaders(), pytest.raises(UsageError, match='holds code'):
            load(source, map_location='cpu')
    assert not os.path.exists(forged.MARKER)
    load('bad.pth')
    os.remove(forged.MARKER)  # so it is not the payload that is broken


def test_what_loads_from_an_address(here):
    with serving({'x.pth': CODE}) as folder, guard_loaders():
        for load in (
            torch.hub.load_state_dict_from_url,
            torch.utils.model_zoo.load_url,
            mmengine.utils.dl_utils.load_url,
            mmengine.runner.checkpoint.load_from_http,
            lambda address: torch.hub.load_state_dict_from_url(address, model_dir=here.parent, file_name='y.pth'),
            lambda address: CheckpointLoader.load_checkpoint(address),
            lambda address: load_checkpoint(nn.Linear(1, 1), address),
        ):
            with pytest.raises(UsageError, match='holds code'):
                load(f'{folder}/x.pth')


def test_models_of_torchvision_and_mmpretrain(here, monkeypatch):
    from mmpretrain import get_model
    from torchvision.models import ResNet18_Weights

    with serving({'x.pth': CODE}) as folder, guard_loaders():
        stand_in = types.SimpleNamespace(url=f'{folder}/x.pth')
        with pytest.raises(UsageError, match='holds code'):
            ResNet18_Weights.get_state_dict(stand_in)
        with pytest.raises(UsageError, match='holds code'):
            get_model('resnet18_8xb16_cifar10', pretrained=f'{folder}/x.pth')


def test_pretrained_modules(here):
    class Net(BaseModule):
        def __init__(self, checkpoint):
            super().__init__(dict(type='Pretrained', checkpoint=checkpoint))
            self.a = nn.Linear(1, 1)

    torch.save({'state_dict': {'a.weight': torch.full((1, 1), 5.0)}}, 'good.pth')
    (here / 'bad.pth').write_bytes(CODE)
    with guard_loaders():
        net = Net('good.pth')
        net.init_weights()
        assert net.a.weight.item() == 5
        with pytest.raises(UsageError, match='holds code'):
            Net('bad.pth').init_weights()


def test_a_loader_of_ones_own_stays(here):
    torch.save({'a': torch.ones(1)}, 'good.pth')
    (here / 'bad.pth').write_bytes(CODE)
    before = dict(CheckpointLoader._schemes)
    try:
        CheckpointLoader.register_scheme('mine://', lambda name, map_location: torch.load(name.removeprefix('mine://')))
        with guard_loaders():
            assert list(CheckpointLoader.load_checkpoint('mine://good.pth')) == ['a']
            with pytest.raises(UsageError, match='holds code'):
                CheckpointLoader.load_checkpoint('mine://bad.pth')
    finally:
        CheckpointLoader._schemes = before


def test_processes_of_a_run_still_exchange_tensors():
    value = {'a': torch.arange(3).bfloat16(), 'b': nn.Linear(2, 2)}
    with guard_loaders():
        content = pickle.dumps(value)
        found = pickle.loads(content)
    assert torch.equal(found['a'], value['a']) and torch.equal(found['b'].weight, value['b'].weight)
    assert torch.equal(pickle.loads(content)['a'], value['a'])  # where there is no guard, too


# ------------------------------------------------------------------------------------------------ data
def test_pickles_of_data(here):
    (here / 'a.pkl').write_bytes(pickle.dumps(SHELL))
    (here / 'good.pkl').write_bytes(pickle.dumps([1]))
    with guard_loaders():
        with pytest.raises(UsageError, match=r'^a\.pkl is a pickle.* set trust_pickles=True in the config'):
            mmengine.load('a.pkl')
        with pytest.raises(UsageError, match=r'^good\.pkl is a pickle'):
            mmengine.load('good.pkl')
        trust_pickles(True)
        assert mmengine.load('good.pkl') == [1]
    with guard_loaders(), pytest.raises(UsageError):  # trust ends with the run
        mmengine.load('good.pkl')


@pytest.mark.parametrize(
    'tag', ['!!python/object/apply:os.system ["x"]', '!!python/name:os.system', '!!python/tuple [1]']
)
def test_yaml(tag, here):
    (here / 'a.yaml').write_text(f'a: !!python/{tag}\n')
    (here / 'good.yml').write_text('a: [1, 2.5, {b: null, c: yes}]\n')
    with guard_loaders():
        assert mmengine.load('good.yml') == {'a': [1, 2.5, {'b': None, 'c': True}]}
        with pytest.raises(UsageError, match=r'^a\.yaml cannot be read as plain YAML'):
            mmengine.load('a.yaml')


@pytest.mark.parametrize(
    'text',
    [
        'a: &a [1]\n'
        + ''.join(f'{chr(98 + i)}: &{chr(98 + i)} [{", ".join(["*" + chr(97 + i)] * 9)}]\n' for i in range(9)),
        'a: &a [*a]',
        'a: ' + '[' * 50_000,
        'a: ' + '9' * 10_000,
        'a: [',
    ],
)
def test_yaml_without_end(text, here):
    (here / 'a.yaml').write_text(text)
    with guard_loaders(), pytest.raises(UsageError, match=r'^a\.yaml cannot be read as plain YAML'):
        mmengine.load('a.yaml')


def test_arrays_of_objects(here):
    np.save('objects.npy', np.array([SHELL], dtype=object), allow_pickle=True)
    np.save('numbers.npy', np.arange(3))
    with guard_loaders():
        assert np.load('numbers.npy', allow_pickle=True).tolist() == [0, 1, 2]
        assert np.load('numbers.npy', 'r').tolist() == [0, 1, 2]
        with pytest.raises(UsageError, match=r'^objects\.npy is a pickle'):
            np.load('objects.npy', allow_pickle=True)
        with pytest.raises(ValueError, match='allow_pickle=False'):
            np.load('objects.npy')


def test_the_pickles_of_cifar(here):
    """They are of Python 2 and hold arrays of bytes."""
    entry = {'data': np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072), 'fine_labels': [3, 4]}
    kind = b'cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNN' + b'J\xff\xff\xff\xff' * 2 + b'K\x00tb'
    array = b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02t' + kind
    python2 = b'}q\x01(U\x0bfine_labels]q\x02(K\x03K\x04eU\x04data' + array + b'I00\nU\x02\x07\xfftbu.'
    with guard_loaders():
        loads = mmpretrain.datasets.cifar.pickle.loads
        found = loads(pickle.dumps(entry, 2), encoding='latin1')
        assert np.array_equal(found['data'], entry['data']) and found['fine_labels'] == [3, 4]
        old = loads(python2, encoding='latin1')
        assert old['fine_labels'] == [3, 4] and old['data'].tolist() == [7, 255] and old['data'].dtype == np.uint8
        with pytest.raises(UsageError, match='CIFAR .*holds code'):
            loads(pickle.dumps(SHELL), encoding='latin1')


def test_pictures_in_pickles(here):
    """Which mmseg has a backend for; as all pickles, they are read where the config trusts them."""
    io_of_mmseg = pytest.importorskip('mmseg.utils.io')
    content = pickle.dumps(np.ones((2, 2)))
    with guard_loaders():
        with pytest.raises(UsageError, match='a picture of decode_backend pickle is a pickle, .* trust_pickles'):
            io_of_mmseg.datafrombytes(pickle.dumps(SHELL), 'pickle')
        assert not (here / forged.MARKER).exists()
        trust_pickles(True)
        assert io_of_mmseg.datafrombytes(content, 'pickle').shape == (2, 2)
    assert io_of_mmseg.pickle is pickle
