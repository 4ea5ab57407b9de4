"""Images a second of pipelines, runs and teachers: that the figures are there and say what they should."""

import json

import pytest

from benchmarks import compare_pipelines, compare_teachers
from tests.support.runs import run_config


@pytest.fixture
def config(shake, tmp_path):
    cfg = run_config(dict(shake), tmp_path)
    cfg.train_dataloader.dataset.pipeline = [dict(type='RandomCrop', crop_size=16, padding=1), dict(type='PackInputs')]
    cfg.data_preprocessor = dict(num_classes=100)
    cfg.dump(tmp_path / 'config.py')
    return str(tmp_path / 'config.py')


def test_runs(config, tmp_path, capsys):
    out = tmp_path / 'out.json'
    options = ['--batched', '--cache-teachers', str(tmp_path / 'cache'), '--rounds', '2', '--out', str(out)]
    assert compare_pipelines.main([config, *options]) == 0
    figures = json.loads(out.read_text())
    assert set(figures['pipelines']) == {'images', 'batched', 'batched/images'}
    assert set(figures['run']) == {'run', 'bare', 'run/bare'}
    for table in ('pipelines', 'run'):
        assert all(0 < row['low'] <= row['median'] <= row['high'] for row in figures[table].values())
    assert figures['pipelines']['batched/images']['low'] > 1
    assert 'images a second' in capsys.readouterr().out


def test_teachers(config, tmp_path, capsys):
    out = tmp_path / 'out.json'
    options = ['--switches', 'fused', 'bfloat16', '--rounds', '2', '--batches', '1', '--out', str(out)]
    assert compare_teachers.main([config, *options]) == 0
    figures = json.loads(out.read_text())['switches']
    plain, fused, half = (figures[name] for name in ('float32', 'fused', 'bfloat16'))
    assert plain['deviation'] == 0 and plain['ratio']['median'] == 1 and plain['agreement'] == 100
    assert 0 < 10 * fused['deviation'] < half['deviation']
    assert half['gap'] == pytest.approx(plain['gap'], rel=0.1) and fused['gap'] == pytest.approx(plain['gap'], rel=1e-4)
    assert 'T–S gap' in capsys.readouterr().out
