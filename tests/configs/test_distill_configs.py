"""Every distillation config builds, with random weights for its teachers, and makes one optimizer step."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample

from shake_mm.members import MemberSpec
from shake_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[2] / 'configs'
FILES = sorted(f for folder in ('kd', 'shake', 'baseline', 'dml') for f in (ROOT / folder).glob('*.py'))
DISTILLED = [f for f in FILES if f.stem.split('_')[0].split('-')[0] in ('kd', 'shake', 'baseline', 'dml')]


def test_there_are_configs_of_each_kind():
    assert {f.stem.split('_')[0].split('-')[0] for f in DISTILLED} == {'kd', 'shake', 'baseline', 'dml'}


@pytest.mark.parametrize('path', DISTILLED, ids=lambda f: f.stem)
def test_a_config_is_a_few_lines(path):
    code = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith('#')]
    assert code[0].startswith('_base_') and len(code) <= 10


@pytest.mark.parametrize('path', DISTILLED, ids=lambda f: f.stem)
def test_builds_and_steps(path, tmp_path):
    cfg = Config.fromfile(path)
    model_cfg = copy.deepcopy(cfg.model)
    size = 64 if 'in1k' in path.stem else 16 if path.stem.endswith('digits100') else 32
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for i, teacher in enumerate(model_cfg.teachers):
            network = MemberSpec.parse(f'teacher{i}', dict(teacher)).build()
            torch.save({'state_dict': network.state_dict()}, tmp_path / f'{i}.pth')
            if 'checkpoint' in teacher:
                teacher['checkpoint'] = str(tmp_path / f'{i}.pth')
        model_cfg.data_preprocessor = copy.deepcopy(cfg.data_preprocessor)
        model = MODELS.build(model_cfg)
        model.init_weights()
    model.enter_stage(0)
    head = model.student.head.fc.weight.detach().clone()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    data = {
        'inputs': torch.randint(256, (2, 3, size, size), dtype=torch.uint8),
        'data_samples': [DataSample().set_gt_label(i) for i in range(2)],
    }
    log = model.train().train_step(data, wrapper)
    assert torch.isfinite(log['loss']) and not torch.equal(head, model.student.head.fc.weight)
    kinds = {name.rsplit('.')[0].rstrip('01') for name in log} - {'loss'}
    expected = {
        'SHAKE': {'student', 'loss_student_from_proxy', 'loss_proxy_from_teacher', 'loss_proxy_from_student'},
        'KD': {'student', 'loss_student_from_teacher'},
        'DML': {'student', 'teacher', 'loss_student_from_teacher', 'loss_teacher_from_student'},
        'Baseline': {'student'},
    }[model_cfg.type.split('.')[-1]]
    dropped = {'loss_teacher_from_student'} if 'dml-dagger' in path.stem else set()
    assert kinds == expected - dropped


def test_the_metafiles_list_every_config():
    import yaml

    listed = []
    for folder in ('kd', 'shake', 'baseline', 'dml'):
        metafile = yaml.safe_load((ROOT / folder / 'metafile.yml').read_text())
        assert all((ROOT.parent / c['README']).is_file() for c in metafile['Collections'])
        assert {m['In Collection'] for m in metafile['Models']} == {c['Name'] for c in metafile['Collections']}
        listed += [ROOT.parent / m['Config'] for m in metafile['Models']]
    assert sorted(listed) == FILES
