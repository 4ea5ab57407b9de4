"""Checkpoints: torch loads ours anywhere, and those of the plain mmengine are read without unsafe pickle."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub

from shake_mm.safe_io import read

from ..support import stacks
from .processes import TRAIN, python

LOAD = 'import sys, torch; torch.load(sys.argv[1], weights_only=True)'
REFUSED = 'Weights only load failed'
PLAIN_MMENGINE_FAILS = stacks.NAME == 'current'
"""Older torch runs what a checkpoint says, and OneDL's mmengine lists what it may say."""


@pytest.fixture(scope='module')
def upstream_checkpoint(tmp_path_factory) -> Path:
    """A checkpoint of the plain mmengine."""
    folder = tmp_path_factory.mktemp('upstream')
    result = python(f'{TRAIN}\ntrain(sys.argv[1], 1)', str(folder))
    assert result.returncode == 0, result.stderr
    return folder / 'epoch_1.pth'


def message_hub(name: str = 'test') -> MessageHub:
    hub = MessageHub(name)
    hub.update_scalar('loss', 2.0, 3)
    hub.update_scalar('loss', 4.0, 5)
    hub.update_info_dict(
        dict(
            best=np.float64(0.5),
            palette=np.arange(6).reshape(2, 3),
            names=np.array(['a', 'b']),
            cfg=ConfigDict(scales=[(1, 2)], deep=dict(ids={1, 2})),
            weight=torch.ones(2),
            nothing=None,
        )
    )
    return hub


@stacks.needs_torch('2.6', 'it does not read weights only by default, and reads fewer types where it is told to')
def test_written_message_hub_loads_anywhere(tmp_path):
    torch.save(message_hub().state_dict(), tmp_path / 'plain.pth')
    torch.save(MessageHub.state_dict.__wrapped__(message_hub()), tmp_path / 'upstream.pth')
    assert python(LOAD, str(tmp_path / 'plain.pth')).returncode == 0
    assert REFUSED in python(LOAD, str(tmp_path / 'upstream.pth')).stderr


def test_message_hub_round_trip():
    target = MessageHub('target')
    target.load_state_dict(message_hub().state_dict())
    log, count = target.get_scalar('loss').data
    assert log.tolist() == [2.0, 4.0] and count.tolist() == [3, 5]
    assert target.get_scalar('loss').mean() == 0.75
    target.update_scalar('loss', 6.0)
    assert target.get_scalar('loss').current() == 6.0
    assert target.get_info('best') == 0.5
    assert target.get_info('names') == ['a', 'b']
    assert target.get_info('cfg') == dict(scales=[(1, 2)], deep=dict(ids={1, 2}))
    assert target.get_info('palette').tolist() == [[0, 1, 2], [3, 4, 5]]
    assert target.get_info('nothing') is None


def test_message_hub_reads_upstream_form():
    target = MessageHub('target')
    target.load_state_dict(MessageHub.state_dict.__wrapped__(message_hub()))
    assert target.get_scalar('loss').data[0].tolist() == [2.0, 4.0]


def test_message_hub_leaves_out_what_is_not_plain():
    hub = message_hub()
    hub.update_info('runner', object())
    state = hub.state_dict()
    assert 'runner' not in state['runtime_info'] and state['runtime_info']['best'] == 0.5


def test_upstream_checkpoint_loads_safely(upstream_checkpoint):
    plain = python(f'import mmengine.runner; {LOAD}', str(upstream_checkpoint))
    assert REFUSED in plain.stderr
    checkpoint = read(upstream_checkpoint)
    assert checkpoint['meta']['epoch'] == 1
    assert isinstance(checkpoint['message_hub']['log_scalars']['train/loss'], HistoryBuffer)


def test_resume_from_upstream_and_own_checkpoints(upstream_checkpoint, tmp_path):
    resume = (
        "runner = train(sys.argv[1], 3, resume=True)\nprint(len(runner.message_hub.get_scalar('train/loss').data[0]))"
    )
    plain = python(f'{TRAIN}\n{resume}', str(shutil.copytree(upstream_checkpoint.parent, tmp_path / 'plain')))
    assert ('Unsupported global' in plain.stderr) == PLAIN_MMENGINE_FAILS, plain.stderr
    guard = 'from shake_mm.safe_io import guard_loaders\nguard = guard_loaders()\nguard.__enter__()'
    worked_around = python(f'{TRAIN}\n{guard}\n{resume}', str(upstream_checkpoint.parent))
    assert worked_around.returncode == 0, worked_around.stderr
    assert worked_around.stdout.split()[-1] == '6'
    load = LOAD if stacks.TORCH >= stacks.Version('2.6') else LOAD.replace(', weights_only=True', '')
    written = python(load, str(upstream_checkpoint.with_name('epoch_3.pth')))
    assert written.returncode == 0, written.stderr
