"""Errors of the stack told in a sentence: what a table of bad inputs cannot bring about at will."""

import multiprocessing
import pickle

import pytest
from mmengine.registry import MODELS, DefaultScope
from torch.utils.data import dataloader

from shake_mm.explain import explain, explain_build, one_line


@pytest.mark.parametrize('kind', [ConnectionResetError, EOFError])
def test_a_worker_that_dies_while_it_gives_a_batch(kind, monkeypatch):
    """Then PyTorch does not know its pid."""

    def reset(*args, **kwargs):
        raise kind(104, 'Connection reset by peer')

    loader = dataloader.DataLoader(range(4), num_workers=1, multiprocessing_context=multiprocessing.get_context('fork'))
    batches = iter(loader)
    monkeypatch.setattr(batches._data_queue, 'get', reset)
    with pytest.raises(kind) as caught:
        next(batches)
    assert 'a process that loads data died' in explain(caught.value) and '--resume' in explain(caught.value)
    assert 'loads data' not in explain(kind(104, 'elsewhere'))


ADVICE = (
    'Weights only load failed. This file can still be loaded, to do so you have two options.\n\t(1) Re-running '
    '`torch.load` with `weights_only` set to `False` will likely succeed.\n\t(2) Alternatively, to load with '
    '`weights_only=True` please check.\n\tWeightsUnpickler error: Unsupported operand 149'
)


@pytest.mark.parametrize('text', [ADVICE, 'Re-running `torch.load` with `weights_only` set to `False` will succeed'])
@pytest.mark.parametrize('kind', [pickle.UnpicklingError, RuntimeError])
def test_advice_to_run_code_is_never_quoted(text, kind):
    assert 'weights_only' not in one_line(kind(text)) and 'torch.load' not in one_line(kind(text))
    assert kind is RuntimeError or 'weights_only' not in explain(kind(text))
    assert text is not ADVICE or one_line(kind(text)) == 'Unsupported operand 149'


def test_what_a_part_cannot_be_built_from_is_told_with_the_part():
    with DefaultScope.overwrite_default_scope('mmpretrain'), pytest.raises(KeyError) as caught:
        MODELS.build(dict(type='ResNet', depth=19))
    assert explain(caught.value) is None
    assert explain_build(caught.value).startswith('ResNet in the config cannot be built (')


@pytest.mark.parametrize('error', [KeyError('defect'), RuntimeError('defect'), AssertionError()])
def test_what_nothing_was_built_from_is_a_defect(error):
    with pytest.raises(type(error)) as caught:
        raise error
    assert explain_build(caught.value) is None


@pytest.mark.parametrize(
    ('text', 'parts'),
    [
        (
            'DDP expects same model across all ranks, but Rank 1 has 4 params, while rank 0 has inconsistent 2 params.',
            ('rank 1 has 4 parameters, rank 0 has 2', 'same config'),
        ),
        (
            '[1]: params[0] in this process with sizes [3, 2] appears not to match sizes of the same param.',
            ('parameter 0 has the shape [3, 2]', 'same config'),
        ),
        (
            '[/pytorch/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:15033: Connection reset by peer.',
            ('another process of this run has ended', 'start again'),
        ),
        ('[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0', ('free some space',)),
        (
            'The server socket has failed to listen. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE',
            ('29500',),
        ),
        (  # torch 2.1
            'The server socket has failed to listen on any local network address. The server socket has failed to bind '
            'to [::]:29500 (errno: 98 - Address already in use). The server socket has failed to bind to '
            '0.0.0.0:29500 (errno: 98 - Address already in use).',
            ('MASTER_PORT=29500 is taken',),
        ),
    ],
)
def test_what_processes_and_disks_say(text, parts):
    sentence = explain(RuntimeError(text))
    assert sentence is not None and all(part in sentence for part in parts)


@pytest.mark.parametrize(('key', 'page'), [('distiller', 'docs/from_mmrazor.md'), ('tow', 'its documentation')])
def test_keys_of_mmrazor_are_told_where_to_look(key, page):
    from shake_mm.registry import MODELS as OURS

    with pytest.raises(TypeError) as caught:
        OURS.build({'type': 'shake_mm.Distiller', 'student': 'a.py', key: {}})
    assert f"unexpected keyword argument '{key}': correct the key, see {page}" in explain(caught.value)


def test_what_tensorboard_needs_is_told_at_once():
    """mmengine's own sentence names another package too, which helps nobody."""
    error = ImportError('Please run "pip install future tensorboard" to install the dependencies to use it')
    assert explain(error).endswith('TensorBoard, which is not installed: run `pip install tensorboard`')
