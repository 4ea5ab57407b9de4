"""A method that nobody has written yet: one config, one loss, and it trains on a pair that somebody brings."""

import pytest
import torch
from mmengine.config import Config

from analysis.describe import calibrated
from shake_mm.engine.stages import total_epochs
from shake_mm.grid import read_run
from shake_mm.registry import MODELS
from tools.train import main as train_main

from ..support.runs import run_config

LOSS = '''
from torch import nn

from shake_mm.registry import MODELS


@MODELS.register_module()
class CenteredLoss(nn.Module):
    """Squared distance of two batches of features, each without its mean."""

    def forward(self, of, to):
        return ((of - of.mean(0)) - (to - to.mean(0))).pow(2).mean()
'''

METHOD = """
# First the body learns the teacher's features, up to their mean; then KD goes on with the whole student.
custom_imports = dict(imports=['centered_loss'])
method = dict(
    type='shake_mm.KD',
    lam=0.5,
    terms=dict(
        center=dict(
            of='student.f*',
            to='teacher*.f*',
            connector=dict(type='ConvRegressor'),
            loss=dict(type='CenteredLoss'),
            weight=10.0,
        ),
    ),
    stages=dict(
        prepare=dict(until=2, adds_epochs=True, lr_factor=0.5, terms=['center'], train=['student.body', 'terms']),
        main=dict(terms=['task', 'student_from_teacher'], train=['student'], reset_optimizer=True),
    ),
)
"""

CELL = """
_base_ = ['student.py', 'shake_mm::_base_/distill.py', '{method}.py']
model = dict(
    _delete_=True,
    student=_base_.model,
    teachers=dict(config='{folder}/teacher.py', checkpoint='{folder}/teacher.pth'),
    **_base_.method,
)
"""

SHORTER = """
_base_ = 'cell.py'
model = dict(stages=dict(prepare=dict(until=1)))
"""


@pytest.fixture
def folder(make_classifier, tmp_path, monkeypatch):
    """The pair's files, and the method's two."""
    scale = dict(mean=[60.0] * 3, std=[77.6] * 3)
    teacher = make_classifier(8, classes=100, **scale)
    network = MODELS.build(teacher)
    network.init_weights()
    calibrated(network, 16)
    torch.save({'state_dict': network.state_dict()}, tmp_path / 'teacher.pth')
    student = run_config(make_classifier(6, classes=100, **scale), tmp_path, epochs=2, samples=32)
    student.pop('custom_hooks')
    student.param_scheduler = dict(type='MultiStepLR', milestones=[1], gamma=0.1)
    student.dump(tmp_path / 'student.py')
    files = {
        'teacher.py': f'model = {teacher}',
        'centered_loss.py': LOSS,
        'centered.py': METHOD,
        'cell.py': CELL.format(folder=tmp_path, method='centered'),
        **{
            f'{name}.py': CELL.format(folder=tmp_path, method=f'shake_mm::_base_/methods/{name}')
            for name in ('ab', 'ft')
        },
        'shorter.py': SHORTER,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize('config, before', [('cell', 2), ('shorter', 1)])
def test_two_files_are_a_method(folder, config, before):
    out = folder / config
    assert train_main([str(folder / f'{config}.py'), '--work-dir', str(out), '--debug']) == 0
    rows = read_run(out).train
    losses = [{key for key in row if 'loss_' in key or key.startswith('student.')} for row in rows]
    assert [row['epoch'] for row in rows] == [*range(1, before + 3)]
    assert (
        losses
        == [{f'loss_center_f{i}' for i in (1, 2, 3)}] * before + [{'student.loss', 'loss_student_from_teacher'}] * 2
    )
    # The rate is logged after the step; the run's own schedule, of two epochs, divides it by ten after the first.
    assert [row['lr'] for row in rows] == pytest.approx([0.025] * before + [0.05, 0.005])

    states = [torch.load(out / f'epoch_{i + 1}.pth', weights_only=True)['state_dict'] for i in range(before + 2)]
    weights = {key for key in states[0] if key.endswith('weight')}
    for i, (earlier, later) in enumerate(zip(states, states[1:]), start=1):
        moved = {key for key in weights if not torch.equal(earlier[key], later[key])}
        assert moved == {
            key for key in weights if key.startswith(('student.backbone', 'terms') if i < before else 'student')
        }


@pytest.mark.parametrize(
    'method, stage, terms, rate',
    [('ab', 'init', {'loss_ab_f1', 'loss_ab_f2', 'loss_ab_f3'}, 0.05), ('ft', 'paraphrase', {'loss_paraphrase'}, 0.01)],
)
def test_methods_of_two_stages_on_a_pair_that_is_brought(folder, method, stage, terms, rate):
    """By one number of the stage the run is short; its own schedule, of two epochs, begins thereafter."""
    assert total_epochs(Config.fromfile(folder / f'{method}.py')) == 32
    out = folder / 'out'
    arguments = ['--work-dir', str(out), '--debug', '--cfg-options', f'model.stages.{stage}.until=1']
    assert train_main([str(folder / f'{method}.py'), *arguments]) == 0
    rows = read_run(out).train
    losses = [{key for key in row if 'loss_' in key or key.startswith('student.')} for row in rows]
    assert losses[0] == terms and losses[1] == losses[2] == {'student.loss'} | (
        {'loss_ft'} if method == 'ft' else set()
    )
    assert [row['lr'] for row in rows] == pytest.approx([rate, 0.05, 0.005])
