"""The command for a GPU, on the processor: its parts, its budget, its file that grows, and its page."""

import json
import weakref

import pytest
import torch
from torch import distributed

from benchmarks import gpu, gpu_checks, gpu_profile
from benchmarks.gpu_page import page

SMALL = ['--pair', 'resnet14_resnet8_digits100', '--image-size', '16', '--batch-size', '4', '--rounds', '1']


def folders(tmp_path):
    return ['--out', str(tmp_path / 'gpu'), '--runs', str(tmp_path / 'runs'), '--device', 'cpu']


def record_of(tmp_path):
    return json.loads((tmp_path / 'gpu' / 'gpu.json').read_text())


def test_it_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    checks = {name: gpu_checks.CHECKS[name] for name in ('bfloat16', 'one rank')}
    calls = []
    outcome = gpu_checks.Outcome(0.5, 0.1, 'a stand-in')
    monkeypatch.setattr(gpu, 'CHECKS', {**checks, 'odd': lambda bench: calls.append(1) or outcome, 'broken': max})
    own = [*SMALL, *folders(tmp_path), '--parts', 'correctness', 'profile']
    assert gpu.main([*own, '--minutes', '0']) == 0
    assert record_of(tmp_path)['units'] == {} and 'no time left' in capsys.readouterr().out
    assert gpu.main([*own, '--minutes', '5']) == 0
    units = record_of(tmp_path)['units']
    assert [units[f'correctness/{name}']['passed'] for name in ('bfloat16', 'one rank', 'odd')] == [True, True, False]
    assert units['correctness/one rank']['difference'] < 1e-4 < units['correctness/bfloat16']['difference']
    assert 'TypeError' in units['correctness/broken']['error'] and calls == [1]
    profiled = units['profile/shake']
    assert profiled['ms'] > 0 and profiled['kernels'] == 0 and profiled['longest']
    assert 'aten::_local_scalar_dense' not in profiled['syncs']  # no step asks for a number
    assert gpu.main([*own, '--minutes', '5']) == 0
    again = record_of(tmp_path)['units']
    assert calls == [1]  # what is done is kept, what failed is tried again
    assert {k: v for k, v in again.items() if 'broken' not in k} == {
        k: v for k, v in units.items() if 'broken' not in k
    }
    assert sorted(path.name for path in (tmp_path / 'gpu').iterdir()) == ['gpu.json', 'gpu.md']
    shown = (tmp_path / 'gpu' / 'gpu.md').read_text()
    assert '| bfloat16 | passed |' in shown and '| odd | **failed** |' in shown and '- broken: TypeError' in shown
    assert gpu.main([*own, '--batch-size', '5']) == 1
    assert 'measured with batch_size=4, and this is 5' in capsys.readouterr().err


@pytest.mark.slow
def test_everything(tmp_path):
    own = [*SMALL, *folders(tmp_path), '--minutes', '30', '--train', 'resnet14_resnet8_digits100', '--epochs', '2']
    assert gpu.main(own) == 0
    units = record_of(tmp_path)['units']
    assert not [unit for unit in units.values() if 'error' in unit]
    assert all(unit['passed'] for name, unit in units.items() if name.startswith('correctness'))
    assert {'training/teacher', 'training/cached', 'training/live', 'table/steps'} <= set(units)
    assert all(units[f'training/{name}']['images_a_second'] > 0 for name in ('teacher', 'cached', 'live'))


def test_one_rank_lets_go_of_its_wrapper_before_its_group(monkeypatch):
    """Whoever frees it afterwards may wait forever for gloo's threads."""
    wrappers, left, leave = [], [], distributed.destroy_process_group

    class Wrapper(gpu_checks.DistributedDataParallel):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            wrappers.append(weakref.ref(self))

    monkeypatch.setattr(gpu_checks, 'DistributedDataParallel', Wrapper)
    monkeypatch.setattr(distributed, 'destroy_process_group', lambda: left.append(wrappers[0]()) or leave())
    outcome = gpu_checks.one_rank(gpu_checks.Bench(gpu._pair('resnet14_resnet8_digits100', None), 'cpu', 4, 16))
    assert left == [None] and outcome.difference <= outcome.bound


def test_a_pair_that_is_not_there_is_told_first(tmp_path, capsys):
    assert gpu.main([*folders(tmp_path), '--train', 'nothing']) == 1
    assert 'nothing.py does not exist' in capsys.readouterr().err and not (tmp_path / 'gpu').exists()


def test_a_settled_teacher_has_logits_to_compare():
    """110 layers of random weights without statistics: 1e8, which half precision does not hold."""
    bench = gpu_checks.Bench(gpu._pair('resnet110_resnet20_cifar100', None), 'cpu', 4, 32)
    (teacher,) = bench.model().members.frozen.values()
    images = teacher.network.data_preprocessor(bench.data(), True)['inputs']
    with torch.no_grad():
        assert teacher.network(images, mode='tensor').abs().max() < 100
    assert {m.momentum for m in teacher.network.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.1}


def test_a_difference_is_found():
    bench = gpu_checks.Bench({}, 'cpu', 1, 1)
    assert gpu_checks._difference({'a': 1.1, 'b': 2.0}, {'a': 1.0, 'b': 2.0}) == pytest.approx(0.1)
    assert gpu_checks._difference({'a': float('nan')}, {'a': 1.0}) == float('inf')
    assert gpu_checks._difference({'a': 1.0}, {'a': 1.0, 'b': 1.0}) == float('inf')
    assert not gpu_checks.Outcome(float('inf'), 0.1, '').as_dict()['passed'] and bench.device == 'cpu'


def test_kernels_side_by_side_count_once():
    assert gpu_profile.covered([(0, 2), (1, 3), (5, 6), (5.5, 5.6)]) == 4
    assert gpu_profile.covered([]) == 0


def test_the_page_of_methods_and_of_several_tables():
    row = {'ours': [0.01] * 3, 'plain': [0.008] * 3, '/kd': [1.5, 1.0, 2.0], '/plain': [1.25, 1.1, 1.4]}
    spread = dict(median=0.5, low=0.25, high=1.0)
    table = dict(seconds=dict(kd=spread), bytes=dict(kd=2**20), ratios={'shake/kd': spread})
    units = {'methods/crd': row, 'detectors/one': table, 'detectors/two': table}
    shown = page({'setting': {}, 'units': units})
    assert '| crd | 10.0 | 1.50 (1.00–2.00) | 8.0 | 1.25 (1.10–1.40) |' in shown
    assert '### One' in shown and '### Two' in shown


def test_the_page_of_a_table_and_a_training():
    spread = dict(median=0.5, low=0.25, high=1.0)
    table = dict(seconds=dict(kd=spread), bytes=dict(kd=2**20), ratios={'shake/kd': spread}, took=1.0)
    run = {'images_a_second': 2e4, 'minutes_for_240_epochs_of_50000': 10.0, 'epochs': 3, 'seconds': 5.0}
    units = {'table/steps': table, 'training/cached': {**run, 'accuracy/top1': 91.25, 'took': 6.0}}
    shown = page({'setting': {'device': 'cuda'}, 'units': units})
    assert '| KD step, shake_mm | 500.00 (250.00–1000.00) | 1.0 |' in shown
    assert '| cached | 3 | 20,000 | 10.0 | 91.25 | 5 |' in shown and '## Correctness' not in shown
