import json

import pytest

from shake_mm import compat
from shake_mm.analysis import step_time


@pytest.mark.parametrize('clock', ['wall', 'cpu'])
def test_two_rounds(load_tool, tmp_path, capsys, clock):
    out = tmp_path / 'times.json'
    options = ['--rounds', '2', '--steps', '1', '--warmup', '1', '--batch-size', '4', '--clock', clock]
    assert load_tool('analysis_tools/benchmark').main([*options, '--out', str(out)]) == 0
    figures = json.loads(out.read_text())
    assert set(figures['seconds']) == set(step_time.ROWS) and set(figures['ratios']) == set(step_time.RATIOS)
    for spread in (*figures['seconds'].values(), *figures['ratios'].values()):
        assert 0 < spread['low'] <= spread['median'] <= spread['high']
    assert figures['setting']['image_size'] == 16 and figures['setting']['threads'] == 1
    assert 'SHAKE step' in capsys.readouterr().out


def test_other_networks_need_both_configs(load_tool, capsys):
    assert load_tool('analysis_tools/benchmark').main(['--student-config', 'a.py']) == 1
    assert 'belong together' in capsys.readouterr().err


def test_steps_do_what_they_say():
    """Ours and the plain loops change the student's weights; the teacher's stay."""
    pair = [f'{compat.configs_dir()}/baseline/{name}_digits100.py' for name in ('resnet8', 'resnet14')]
    plain = step_time.build_steps(*pair, methods=(), batch_size=4, image_size=16, device='cpu')['plain_kd'].__self__
    student = [p.clone() for p in plain.student.parameters()]
    teacher = [v.clone() for v in plain.teacher.state_dict().values()]
    plain.kd_step()
    assert any(not p.equal(q) for p, q in zip(plain.student.parameters(), student, strict=True))
    assert all(v.equal(w) for v, w in zip(plain.teacher.state_dict().values(), teacher, strict=True))
