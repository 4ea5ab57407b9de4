"""``tools/test.py --tta`` on distillers: the student's mean over views of the images."""

import copy
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from shake_mm.cli import test
from shake_mm.registry import MODELS
from tests.conftest import classifier
from tests.support.runs import run_config
from tests.test_detection_run import prepare


@pytest.fixture
def finished(trained, tmp_path):
    """The config of a SHAKE run and weights of its student."""
    teacher, student = classifier(8, classes=100), classifier(6, classes=100)
    teachers = dict(config=teacher, checkpoint=trained(teacher))
    cfg = run_config(dict(type='shake_mm.SHAKE', student=student, teachers=teachers), tmp_path / 'run')
    cfg.custom_hooks += [dict(type='shake_mm.TeacherCacheHook')]
    return cfg, trained(student, 'student.pth', seed=3)


@pytest.mark.parametrize('wrapped', [False, True])
def test_a_student_is_tested_on_both_sides(wrapped, finished, tmp_path):
    cfg, weights = finished
    cfg.test_evaluator = dict(type='Accuracy', topk=(1, 30))
    if wrapped:
        cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[cfg.test_dataloader.dataset])
    cfg.dump(tmp_path / 'shake.py')
    options = ['--tta', '--work-dir', str(tmp_path / 'test'), '--out', str(tmp_path / 'out.pkl')]
    assert test.main([str(tmp_path / 'shake.py'), weights, *options]) == 0
    predictions = [torch.as_tensor(p['pred_score']) for p in np.load(tmp_path / 'out.pkl', allow_pickle=True)]

    model = MODELS.build(copy.deepcopy(cfg.model.student)).eval()
    model.load_state_dict(torch.load(weights)['state_dict'])
    from shake_mm.registry import DATASETS

    dataset = DATASETS.build(copy.deepcopy(cfg.val_dataloader.dataset))
    images = torch.stack([dataset[i]['inputs'] for i in range(len(dataset))]).float()
    with torch.no_grad():
        expected = (model(images).softmax(1) + model(images.flip(-1)).softmax(1)) / 2
    torch.testing.assert_close(torch.stack(predictions), expected)


def test_a_detector_is_tested_with_views(tmp_path, capsys):
    config, options = prepare('retinanet', tmp_path)
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    student = MODELS.build(dict(cfg.model.student, _scope_='mmdet'))
    torch.save({'state_dict': student.state_dict()}, tmp_path / 'student.pth')
    out = tmp_path / 'metrics.json'
    arguments = [config, str(tmp_path / 'student.pth'), '--tta', '--work-dir', str(tmp_path / 'test')]
    arguments += ['--out', str(out), '--out-item', 'metrics', '--cfg-options', *options]
    assert test.main(arguments) == 0, capsys.readouterr().err
    assert 'coco/bbox_mAP' in json.loads(out.read_text())
