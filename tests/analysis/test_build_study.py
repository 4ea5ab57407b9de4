import json

import pytest

from analysis import build_study

ARGS = ['--study', 'table1', '--pair', 'resnet14_resnet8']


@pytest.fixture
def times(tmp_path):
    path = tmp_path / 'times.json'
    setting = dict(rounds=3, batch_size=64, threads=1, hardware='a machine', torch='2')
    ratios = {'kd/kd': dict(median=1.0), 'shake/kd': dict(median=1.017)}
    path.write_text(json.dumps(dict(setting=setting, ratios=ratios)))
    return path


def test_page(root, times, tmp_path, capsys):
    notes, out = tmp_path / 'notes.md', tmp_path / 'docs' / 'a.md'
    notes.write_text('What it means.\n')
    assert build_study.main([str(root), *ARGS, '--times', str(times), '--notes', str(notes), '--out', str(out)]) == 0
    text = out.read_text()
    assert '-->\n\n# Table 1: cost of training and gap to the teacher, in miniature\n' in text
    assert 'The teacher has 97.00 %.' in text and '\n\nWhat it means.\n\n' in text and 'batch 64' in text
    assert '| SHAKE, share ' in text and ' 92.00 ' in text and ' 1.02 ' in text and ' 72.02 ' in text
    assert 'Not run: dml, dml-dagger, kd-dagger, kd-dagger-head, kd-dagger-60, shake-alone.' in text
    assert build_study.main([str(root), *ARGS]) == 0 and capsys.readouterr().out.startswith('# Table 1')


DAMAGED = {
    'list.json': '[]',
    'words.json': '{"setting": {}, "ratios": {"a/kd": {"median": "x"}}}',
    'setting.json': '{"setting": {}, "ratios": {}}',
    'texts.json': '{"setting": "x", "ratios": "y"}',
    'large.json': '{"setting": {}, "ratios": {"a/kd": {"median": 1%s}}}' % ('0' * 400),
    'deep.json': '[' * 100_000,
}
"""Files that no benchmark writes."""


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--study', 'table1', '--pair', 'a_b'], "there is no finished run of table1 on 'a_b' below"),
        ([*ARGS, '--times', 'nowhere.json'], 'nowhere.json is not what benchmarks.compare_steps --cells --out writes'),
        ([*ARGS, '--notes', 'notes.bin'], 'notes.bin is no text in UTF-8'),
        *(([*ARGS, '--times', name], f'{name} is not what') for name in DAMAGED),
    ],
)
def test_errors_are_one_sentence(root, capsys, args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {**DAMAGED, 'notes.bin': '\udcff'}.items():
        (tmp_path / name).write_text(text, errors='surrogateescape')
    assert build_study.main([str(root), *args]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
