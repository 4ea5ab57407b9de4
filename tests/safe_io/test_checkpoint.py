"""What torch and OpenMMLab write is read as it was, in every format."""

import argparse
import io
import json
import pathlib
import struct
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.safe_io import read

from ..support.stacks import needs_torch

DTYPES = (
    'float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 uint16 uint32 uint64 '
    'float8_e4m3fn float8_e5m2'
)
FORMATS = [dict(_use_new_zipfile_serialization=new, pickle_protocol=p) for new in (True, False) for p in (2, 3, 4, 5)]


def written(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    buffer.seek(0)
    return read(buffer)


@pytest.mark.parametrize('options', FORMATS, ids=str)
def test_state_dict(options):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2).half())
    state = model.state_dict()
    state['tied'] = state['0.weight']
    state['transposed'], state['part'] = torch.arange(6.0).view(2, 3).t(), torch.arange(10)[3:7:2]
    state['empty'], state['number'] = torch.empty(0, 3), torch.tensor(2.5)
    found = written({'state_dict': state, 'epoch': 3}, **options)
    assert found['epoch'] == 3 and type(found['state_dict']) is OrderedDict
    assert list(found['state_dict']) == list(state) and found['state_dict']._metadata['1'] == {'version': 2}
    for key, value in found['state_dict'].items():
        assert (
            value.dtype == state[key].dtype and torch.equal(value, state[key]) and value.stride() == state[key].stride()
        )
    assert found['state_dict']['tied'].data_ptr() == found['state_dict']['0.weight'].data_ptr()
    assert not found['state_dict']['0.weight'].requires_grad


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=[needs_torch('2.2', 'it cannot save float8')] if 'float8' in name else [])
        for name in DTYPES.split()
        if hasattr(torch, name)
    ],
)
def test_dtypes(name):
    value = torch.randn(3, 2).abs().to(getattr(torch, name))
    found = written([value])[0]
    assert found.dtype == value.dtype and found.shape == (3, 2)
    assert torch.equal(found.view(torch.uint8), value.view(torch.uint8))


@pytest.mark.parametrize('options', FORMATS, ids=str)
def test_what_stands_beside_weights(options):
    value = dict(
        parameter=nn.Parameter(torch.ones(2)),
        counter=Counter([1, 1, 2]),
        default=defaultdict(list, a=[1]),
        sets=[{1, 'a'}, frozenset([2])],
        scalars=[np.float32(0.5), np.int64(3), np.bool_(True)],
        plain=[2**70, -1, 1j, float('inf'), None, True, b'\xff', b'', 'ä'],
        arrays=[np.zeros((2, 3), kind) for kind in (bool, np.uint8, np.int64, np.float16, '>f4', 'U3', 'S2')],
        fortran=np.asfortranarray(np.arange(6).reshape(2, 3)),
        kinds=[torch.float16, torch.Size([1, 2]), torch.device('cpu'), torch.__version__],
        args=argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath('a/b')),
        cfg=ConfigDict(scales=[(1, 2)]),
    )
    tagged = torch.ones(2)
    tagged.note = 'x'
    found = written(dict(value, tagged=tagged), **options)
    assert torch.equal(found['parameter'], torch.ones(2)) and torch.equal(found['tagged'], torch.ones(2))
    assert type(found['counter']) is Counter and found['counter'] == value['counter'] and found['counter'][9] == 0
    assert type(found['default']) is dict and found['default'] == {'a': [1]}
    assert found['sets'] == value['sets'] and found['scalars'] == value['scalars']
    assert found['plain'] == value['plain'] and found['kinds'] == value['kinds']
    assert [type(v) for v in found['scalars']] == [np.float32, np.int64, np.bool_]
    for array, expected in zip(found['arrays'] + [found['fortran']], value['arrays'] + [value['fortran']], strict=True):
        assert (
            array.dtype == expected.dtype.newbyteorder('=')
            and np.array_equal(array, expected)
            and array.flags.writeable
        )
    assert found['args'] == dict(lr=0.1, out='a/b') and type(found['args']) is dict
    assert found['cfg'] == dict(scales=[(1, 2)]) and type(found['cfg']) is dict


def test_histories_and_hubs_of_mmengine():
    hub = MessageHub('safe_io')
    hub.update_scalar('loss', 2.0, 3)
    hub.update_info('best', np.float64(0.5))
    found = written(dict(hub=hub, history=HistoryBuffer([1.0, 2.0], [1, 3], 7)))
    assert isinstance(found['history'], HistoryBuffer) and found['history'].max_length == 7
    assert found['history'].mean() == pytest.approx(0.75)  # of logs by counts
    target = MessageHub('safe_io_target')
    target.load_state_dict(found['hub'])
    assert target.get_scalar('loss').current() == 2.0 and target.get_info('best') == 0.5


def test_booleans_are_booleans():
    buffer = io.BytesIO()
    torch.save({'mask': torch.tensor([1, 0, 7], dtype=torch.uint8).view(torch.bool)}, buffer)
    found = read(io.BytesIO(buffer.getvalue()))['mask']
    assert found.view(torch.uint8).tolist() == [1, 0, 1]


def test_safetensors(tmp_path):
    head = {'__metadata__': {'format': 'pt'}, 'a': dict(dtype='F32', shape=[2, 2], data_offsets=[0, 16])}
    head['b'] = dict(dtype='BF16', shape=[], data_offsets=[16, 18])
    text = json.dumps(head).encode()
    values = struct.pack('<4f', 1, 2, 3, 4) + torch.tensor([0.5]).bfloat16().view(torch.uint8).numpy().tobytes()
    path = tmp_path / 'x.safetensors'
    path.write_bytes(struct.pack('<Q', len(text)) + text + values)
    found = read(path)
    assert list(found) == ['a', 'b'] and found['a'].tolist() == [[1, 2], [3, 4]]
    assert found['b'].dtype == torch.bfloat16 and found['b'].shape == () and found['b'].item() == 0.5


@pytest.mark.parametrize(
    'value, words',
    [
        (torch.eye(3).to_sparse(), r'holds a sparse tensor: save it again as `\.to_dense\(\)`'),
        (torch.empty(2, device='meta'), 'of the device meta'),
        (torch.ones(1).expand(5), r'repeats its 1 values in memory: save it again as `\.contiguous\(\)`'),
        (np.array([{}]), "of the dtype 'O8'"),
        (np.zeros(1, [('a', 'f4')]), 'dtype'),
    ],
)
def test_other_kinds_are_told(value, words):
    with pytest.raises(UsageError, match=words):
        written({'state_dict': {'weight': value}})


def test_tensors_go_to_the_device_that_is_asked_for():
    buffer = io.BytesIO()
    state = OrderedDict(a=torch.ones(2), b=(torch.ones(1), [torch.ones(3)]))
    torch.save({'state_dict': state, 'n': 1}, buffer)
    found = read(io.BytesIO(buffer.getvalue()), map_location='meta')['state_dict']
    assert {value.device.type for value in (found['a'], found['b'][0], found['b'][1][0])} == {'meta'}
    for location in (None, 'cpu', torch.device('cpu'), {'cuda:0': 'cpu'}, lambda storage, place: storage):
        found = read(io.BytesIO(buffer.getvalue()), map_location=location)
        assert found['state_dict']['a'].device.type == 'cpu' and found['n'] == 1


@pytest.mark.parametrize('cut', [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize('new', [True, False])
def test_a_file_that_was_cut_off(tmp_path, cut, new):
    path = tmp_path / 'x.pth'
    torch.save({'state_dict': {'a': torch.zeros(1000)}}, path, _use_new_zipfile_serialization=new)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    with pytest.raises(UsageError, match='it is truncated or not a checkpoint: save or download it again'):
        read(path)


def test_a_changed_structure_is_noticed(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save({'state_dict': {'abc': torch.zeros(10)}}, path)
    path.write_bytes(path.read_bytes().replace(b'abc', b'abd', 1))
    with pytest.raises(UsageError, match='a checksum is wrong'):
        read(path)


def test_what_is_no_file():
    with pytest.raises(UsageError, match=r"^teacher0: checkpoint '/no/such.pth' does not exist: train it first"):
        read('/no/such.pth', 'teacher0')
