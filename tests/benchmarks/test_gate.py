"""The gate of ratios: what fell by more than its noise, and what cannot be compared."""

import json

from benchmarks import gate


def spread(low, median, high):
    return dict(median=median, low=low, high=high)


def record(path, **ratios):
    setting = dict(batch_size=64, image_size=32, threads=1, clock='cpu', load_average=3.0)
    path.write_text(json.dumps(dict(setting=setting, ratios=ratios)))
    return str(path)


def test_what_fell_by_more_than_both_scatter():
    before = {'a/b': spread(0.9, 1.0, 1.1), 'c/d': spread(0.99, 1.0, 1.01), 'gone': spread(1, 1, 1)}
    after = {'a/b': spread(1.1, 1.2, 1.3), 'c/d': spread(1.02, 1.03, 1.04), 'new': spread(1, 1, 1)}
    worst, other = gate.compare(before, after)
    assert (worst.name, worst.fell) == ('c/d', True) and abs(worst.noise - 0.02) < 1e-9
    assert (other.name, other.fell) == ('a/b', False) and abs(other.noise - 0.2) < 1e-9
    assert not any(verdict.fell for verdict in gate.compare(after, before))  # faster is no fall


def test_as_a_command(tmp_path, capsys):
    committed = ['--committed', str(tmp_path / 'ratios.json'), '--name', 'pair']
    good = record(tmp_path / 'good.json', **{'shake/kd': spread(0.99, 1.0, 1.02)})
    bad = record(tmp_path / 'bad.json', **{'shake/kd': spread(1.2, 1.21, 1.22)})
    assert gate.main([good, *committed]) == 1
    assert "nothing is committed under 'pair'" in capsys.readouterr().err
    assert gate.main([good, *committed, '--update']) == 0
    assert gate.main([good, *committed]) == 0
    assert gate.main([bad, *committed]) == 1
    said = capsys.readouterr()
    assert 'fell by more than their noise: shake/kd' in said.err and '1.210' in said.out
    other = json.loads((tmp_path / 'bad.json').read_text())
    other['setting']['batch_size'] = 8
    (tmp_path / 'bad.json').write_text(json.dumps(other))
    assert gate.main([bad, *committed]) == 1 and 'batch_size is 8' in capsys.readouterr().err
    (tmp_path / 'bad.json').write_text('{')
    assert gate.main([bad, *committed]) == 1 and 'cannot be read as JSON' in capsys.readouterr().err
    assert json.loads((tmp_path / 'ratios.json').read_text())['pair']['ratios'] == {'shake/kd': spread(0.99, 1.0, 1.02)}


def test_the_committed_ratios_are_measurements():
    committed = gate.read(gate.COMMITTED)
    names = committed.keys() - {'about'}
    assert names and all(committed[name]['ratios'] for name in names)
    for name in names:
        assert set(gate.FACTS) <= committed[name]['setting'].keys()
        for ratio in committed[name]['ratios'].values():
            assert 0 < ratio['low'] <= ratio['median'] <= ratio['high']
