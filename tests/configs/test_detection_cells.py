"""Cells of detection methods on drawn digits: trained by the tool, resumed to the bit, exported to plain mmdet."""

import json

import pytest
import torch
from mmengine.config import Config, ConfigDict

from shake_mm.export import export_student
from tests.support.detectors import lively
from tests.test_detection_run import TINY
from tools import train as train_tool

from .cells import CONFIGS

ANSWERS = {'specialized_cls', 'specialized_box', 'general_cls', 'general_box'}
CELLS = {
    'crosskd': ('retinanet', {'cross_cls', 'cross_box'}),
    'crosskd-gfl': ('gfl', {'cross_cls', 'cross_box', 'cross_sides'}),
    'detrdistill': ('deformable-detr', {'matched', 'assigned', 'aware'}),
    'detrdistill-softmax': ('detr', {'matched', 'assigned', 'aware'}),
    'fgd': ('retinanet', {'fgd_f1', 'fgd_f2', 'fgd_f3'}),
    'freekd': ('retinanet', {'prompted', 'similarity', 'freekd'}),
    'freekd-unlabeled': ('retinanet', {'prompted', 'similarity', 'freekd'}),
    'kddetr': ('deformable-detr', ANSWERS),
    'kddetr-softmax': ('detr', ANSWERS),
    'maskd': ('retinanet', {'detects', 'similarity', 'maskd'}),
    'ld': ('gfl', {'ld', 'ld_valuable'}),
}
THRESHOLD: dict = {'detr': [], 'deformable-detr': []}  # they have none
NAMED = ('kddetr-softmax', 'detrdistill-softmax', 'freekd-unlabeled')
"""Cells whose files have the whole name."""
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in list(CELLS)[1:]]


@pytest.mark.parametrize('name', [*list(CELLS)[:1], *SLOW])
def test_a_cell_trains_resumes_and_exports(name, tmp_path):
    net, terms = CELLS[name]
    folder = name.partition('-')[0]
    name = name if name in NAMED else folder
    config = CONFIGS / f'{folder}/{name}_{net}-r18-w32_{net}-r18-w8_digit-scenes.py'
    teacher = Config.fromfile(CONFIGS / f'baseline/{net}_r18-w32_digit-scenes.py')
    network = lively(ConfigDict(_scope_='mmdet', **teacher.model), 3)
    torch.save({'state_dict': network.state_dict()}, tmp_path / 'teacher.pth')
    roots = [f'{loader}_dataloader.dataset.data_root={tmp_path / "data"}' for loader in ('train', 'val', 'test')]
    options = [*TINY, *roots, *THRESHOLD.get(net, ['model.student.test_cfg.score_thr=0.0'])]
    options.append(f'model.teachers.0.checkpoint={tmp_path / "teacher.pth"}')
    exact = ['--exact'] if folder == 'kddetr' else []  # what is drawn in a step is drawn again by that alone
    run = [str(config), '--work-dir', str(tmp_path / 'run'), *exact, '--cfg-options', *options]
    assert train_tool.main(run) == 0

    scalars = next((tmp_path / 'run').glob('*/vis_data/scalars.json')).read_text().splitlines()
    logged = {key: value for line in reversed(scalars) for key, value in json.loads(line).items()}  # of all stages
    assert {key.removeprefix('loss_') for key in logged if key.startswith('loss_')} == terms
    assert all(torch.tensor(logged[f'loss_{term}']).isfinite() for term in terms)

    expected = torch.load(tmp_path / 'run/epoch_2.pth', weights_only=True)['state_dict']
    (tmp_path / 'run/epoch_2.pth').unlink()
    (tmp_path / 'run/last_checkpoint').write_text(str(tmp_path / 'run/epoch_1.pth'))
    assert train_tool.main([*run[:3], '--resume', *run[3:]]) == 0
    resumed = torch.load(tmp_path / 'run/epoch_2.pth', weights_only=True)['state_dict']
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[key], resumed[key]) for key in expected)

    weights, plain = export_student(Config.fromfile(config), str(tmp_path / 'run/epoch_2.pth'), str(tmp_path / 'x.pth'))
    exported = torch.load(weights, weights_only=True)['state_dict']
    student = {key.removeprefix('student.'): v for key, v in resumed.items() if key.startswith('student.')}
    assert exported.keys() == student.keys() and all(torch.equal(exported[key], student[key]) for key in student)
    assert not any(name in plain.read_text() for name in ('CrossHead', 'Prompt', 'Tokens', 'Queries', 'teacher'))
