"""Every form of SHAKE from its config: trains, resumes and exports the student alone; half of them in the fast lane."""

import pytest
import torch
from mmengine.config import Config

from shake_mm.export import export_student
from shake_mm.members import MemberSpec
from tools.train import main as train_main

from .cells import CONFIGS, forms_on, shortened

CELLS, LARGE = forms_on('digits100'), forms_on('cifar100')


@pytest.mark.parametrize(
    'cell',
    [
        pytest.param(cell, id=cell.split('/')[1].split('_')[0], marks=[pytest.mark.slow] if index % 2 else [])
        for index, cell in enumerate(CELLS)
    ],
)
def test_trains_resumes_and_exports(cell, tmp_path):
    config = tmp_path / 'config.py'
    for epochs in (1, 2):
        cfg = shortened(Config.fromfile(CONFIGS / cell), tmp_path, epochs)
        cfg.dump(config)
        assert train_main([str(config), '--debug', *(['--resume'] if epochs > 1 else [])]) == 0
    first, last = (torch.load(tmp_path / f'run/epoch_{i}.pth', weights_only=True)['state_dict'] for i in (1, 2))
    assert all(torch.isfinite(value).all() for value in last.values())
    assert {key.split('.')[0] for key in last} <= {'student', 'proxies', 'peers', 'terms'}
    assert not torch.equal(first['student.head.fc.weight'], last['student.head.fc.weight'])
    weights, plain = export_student(Config.fromfile(config), str(tmp_path / 'run/epoch_2.pth'), str(tmp_path / 'out'))
    exported = Config.fromfile(plain)
    assert exported.model.type == 'ImageClassifier' and 'teacher' not in plain.read_text()
    state = torch.load(weights, weights_only=True)['state_dict']
    assert all(torch.equal(last[f'student.{key}'], value) for key, value in state.items())


@pytest.mark.parametrize('cell', LARGE, ids=lambda cell: cell.split('/')[1].removesuffix('_cifar100.py'))
def test_is_another_pair_of_what_trains(cell):
    """The cell on CIFAR-100 differs from the one that the test above trains in its pair's file and schedule alone."""
    name, *pair = cell.split('/')[1].split('_')[:3]
    small = next(
        path
        for path in CELLS
        if path.split('/')[1].split('_')[0] == name and ('x' in path.split('_')[1][:2]) == (pair[0][1] == 'x')
    )
    text, other = ((CONFIGS / path).read_text() for path in (cell, small))
    swapped = text.replace(
        '_'.join([*pair, 'cifar100']), '_'.join(small.split('/')[1].split('_')[1:]).removesuffix('.py')
    )
    assert swapped.replace('kd_dagger_60.py', 'kd_dagger_5.py') == other
    cfg = Config.fromfile(CONFIGS / cell)
    teachers = [MemberSpec.parse('teacher', dict(config=entry.config)).config for entry in cfg.model.teachers]
    assert len(teachers) == (int(pair[0][0]) if pair[0][1] == 'x' else 1) and cfg.train_cfg.max_epochs == 240
