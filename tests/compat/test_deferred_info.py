"""Losses read late, against mmengine's own hook, which reads them in every step."""

import numpy as np
import pytest
from mmengine.hooks import RuntimeInfoHook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from shake_mm.compat.deferred_info import DeferredInfoHook
from tests.support.runs import run_config


@pytest.fixture
def histories(shake, tmp_path, monkeypatch):
    """Train for two epochs of four steps with a hook; what the hub holds, and how many tensors were read by then."""

    def histories(hook, interval):
        read = []
        upstream = MessageHub._get_valid_value
        cfg = run_config(dict(shake), tmp_path, epochs=2)
        cfg.experiment_name = f'{hook.__name__}{interval}{tmp_path.name}'
        cfg.default_hooks.logger.interval = interval
        cfg.default_hooks.checkpoint.update(interval=3, by_epoch=False)

        def watch(hub, value):
            read.extend([1] if isinstance(value, Tensor) else [])
            return upstream(hub, value)

        with monkeypatch.context() as patch:
            patch.setattr(MessageHub, '_get_valid_value', watch)
            patch.setitem(HOOKS.module_dict, 'RuntimeInfoHook', hook)
            runner = Runner.from_cfg(cfg)
            runner.train()
        scalars = runner.message_hub.log_scalars
        kept = {name: [v.tolist() for v in buffer.data] for name, buffer in scalars.items() if 'time' not in name}
        return kept, len(read)

    return histories


@pytest.mark.parametrize('interval', [1, 3, 50])
def test_the_same_history(histories, interval):
    got, want = histories(DeferredInfoHook, interval), histories(RuntimeInfoHook, interval)
    assert got[0] == want[0] and len(got[0]['train/loss_student_from_proxy'][0]) == 8
    assert got[1] == 0 and want[1] >= 8 * 5


def test_checkpoints_hold_the_history_so_far(histories, tmp_path):
    import torch

    histories(DeferredInfoHook, 50)
    for iteration in (3, 6):
        hub = torch.load(tmp_path / f'iter_{iteration}.pth')['message_hub']
        assert len(hub['log_scalars']['train/loss']['log_history']) == iteration


def test_it_stands_for_mmengines():
    assert HOOKS.get('RuntimeInfoHook') is DeferredInfoHook


class TestHistoryBuffer:
    """Against ``np.append``, which mmengine uses."""

    @pytest.mark.parametrize('start', [[], [1], [1.5, 2.5], list(range(70))])
    def test_values_types_and_statistics(self, start):
        buffer, values, counts = HistoryBuffer(list(start), [2] * len(start)), np.array(start), np.full(len(start), 2)
        for i in range(200):
            value, count = (i, 1) if i % 7 else (i + 0.25, 3)
            buffer.update(value, count)
            values, counts = np.append(values, value), np.append(counts, count)
        np.testing.assert_array_equal(buffer.data[0], values)
        np.testing.assert_array_equal(buffer.data[1], counts)
        assert buffer.mean(10) == values[-10:].sum() / counts[-10:].sum()

    def test_the_oldest_are_dropped_beyond_the_length(self):
        buffer = HistoryBuffer([0.0], [1], max_length=5)
        for i in range(1, 12):
            buffer.update(float(i))
        assert buffer.data[0].tolist() == [7, 8, 9, 10, 11]

    def test_what_was_handed_out_stays(self):
        buffer = HistoryBuffer()
        for i in range(3):
            buffer.update(float(i))
        before = buffer.data[0]
        twin = HistoryBuffer(*buffer.data)
        buffer.update(3.0)
        twin.update(9.0)
        assert before.tolist() == [0, 1, 2] and buffer.data[0][-1] == 3 and twin.data[0][-1] == 9

    def test_wrong_types_are_refused(self):
        with pytest.raises(TypeError):
            HistoryBuffer().update('1')
