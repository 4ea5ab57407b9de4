"""A detector's whole way: train by the tools, resume, evaluate any member, export, detect in plain mmdet."""

import json

import pytest
import torch
from mmengine.config import Config, ConfigDict

from shake_mm.cli import report
from shake_mm.compat import configs_dir
from shake_mm.export import export_student
from shake_mm.registry import MODELS
from tools import test as test_tool
from tools import train as train_tool

from .engine.test_distributed import free_port, launch
from .support.detectors import lively

TINY = [
    'train_dataloader.dataset.num_images=6',
    'train_dataloader.batch_size=2',
    'val_dataloader.dataset.num_images=3',
    'test_dataloader.dataset.num_images=3',
    'train_cfg.max_epochs=2',
    'train_cfg.dynamic_intervals=None',
    'train_cfg.val_interval=1',
    'custom_hooks.0.measure=*',
    'log_level=WARNING',
    'randomness.seed=0',
]


def prepare(net, tmp_path):
    """The SHAKE config of a detector of digits, and the options that make it tiny."""
    root = tmp_path / 'data'
    teacher = Config.fromfile(f'{configs_dir()}/baseline/{net}_r18-w32_digit-scenes.py')
    network = lively(ConfigDict(_scope_='mmdet', **teacher.model), 3)
    torch.save({'state_dict': network.state_dict()}, tmp_path / 'teacher.pth')
    roots = [f'{loader}_dataloader.dataset.data_root={root}' for loader in ('train', 'val', 'test')]
    # an untrained detector is never sure
    threshold = f'model.student.test_cfg.{"rcnn." if net == "faster-rcnn" else ""}score_thr=0.0'
    options = [*TINY, *roots, threshold, f'model.teachers.0.checkpoint={tmp_path / "teacher.pth"}']
    return f'{configs_dir()}/shake/shake_{net}-r18-w32_{net}-r18-w8_digit-scenes.py', options


@pytest.fixture(params=['retinanet', 'faster-rcnn'])
def run(request, tmp_path):
    """A finished SHAKE run of two epochs: config file, options, folder."""
    config, options = prepare(request.param, tmp_path)
    folder = tmp_path / 'run'
    assert train_tool.main([config, '--work-dir', str(folder), '--cfg-options', *options]) == 0
    return config, options, folder


def test_from_training_to_detection(run, tmp_path, capsys):
    config, options, folder = run
    states = torch.load(folder / 'epoch_2.pth', weights_only=True)['state_dict']
    assert any(key.startswith('proxies.') for key in states) and not any('teacher' in key for key in states)
    lines = [json.loads(line) for line in next(folder.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    assert {'loss_proxy_from_teacher', 'loss_student_from_proxy', 'loss_proxy_from_student'} <= set(lines[0])
    vals = [line for line in lines if 'coco/bbox_mAP' in line]
    logged = {name: [line[f'{name}coco/bbox_mAP'] for line in vals] for name in ('', 'teacher/', 'proxy/')}
    assert len(vals) == 2 and logged['teacher/'][0] == logged['teacher/'][1]  # once is enough of a frozen one

    # the evaluation of another member, and of none that exists
    evaluate = [config, str(folder / 'epoch_2.pth'), '--work-dir', str(tmp_path / 'test'), '--cfg-options', *options]
    found = {}
    for member in ('student', 'proxy0', 'teacher0'):
        out = tmp_path / f'{member}.json'
        assert test_tool.main([*evaluate, '--member', member, '--out', str(out), '--out-item', 'metrics']) == 0
        found[member] = json.loads(out.read_text())
        # by mmdet's own metric alone, as the run has measured it beside the student
        name = '' if member == 'student' else f'{member[:-1]}/'
        assert found[member]['coco/bbox_mAP'] == logged[name][-1]
    capsys.readouterr()
    assert test_tool.main([*evaluate, '--member', 'proxy1']) == 1
    assert "member 'proxy1' does not exist" in capsys.readouterr().err

    # the report, of what members find in the same pictures
    assert report.main([str(folder), '--out', str(tmp_path / 'report')]) == 0
    images = {path.stem for path in (tmp_path / 'report').glob('*.png')}
    assert {'agreement', 'classes', 'calibration', 'detections'} <= images
    page = (tmp_path / 'report' / 'report.html').read_text()
    heads = [f'<th>{name} %</th>' for name in ('teacher', 'student', 'proxy')]
    assert 'Asked of 3 pictures' in page and all(head in page for head in heads)

    # a plain mmdet detector
    from mmdet.apis import inference_detector, init_detector

    cfg = Config.fromfile(config)
    cfg.merge_from_dict({option.partition('=')[0]: 0.0 for option in options if 'score_thr' in option})
    weights, plain = export_student(cfg, str(folder / 'epoch_2.pth'), str(tmp_path / 'detector.pth'))
    text = plain.read_text()
    assert not any(word in text for word in ('SHAKE', 'teacher', 'prox', 'StageHook'))
    image = sorted((tmp_path / 'data').glob('val*/*.png'))[0]
    detected = inference_detector(init_detector(str(plain), str(weights), device='cpu'), str(image)).pred_instances
    model = MODELS.build(dict(type='shake_mm.Baseline', student={**cfg.model.student, '_scope_': 'mmdet'})).eval()
    model.load_state_dict(states, strict=False)
    expected = inference_detector(with_config(model, plain), str(image)).pred_instances
    assert len(detected) and torch.equal(detected.scores, expected.scores)


def with_config(model, path):
    """What mmdet's inference reads the test pipeline from."""
    model.cfg = Config.fromfile(path)
    return model


# A two-stage detector draws the boxes it trains on from torch's global generator, which a checkpoint does not hold.
@pytest.mark.parametrize('run', ['retinanet'], indirect=True)
def test_a_resumed_run_ends_like_an_uninterrupted_one(run):
    config, options, folder = run
    expected = torch.load(folder / 'epoch_2.pth', weights_only=True)['state_dict']
    (folder / 'epoch_2.pth').unlink()
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    assert train_tool.main([config, '--work-dir', str(folder), '--resume', '--cfg-options', *options]) == 0
    resumed = torch.load(folder / 'epoch_2.pth', weights_only=True)['state_dict']
    assert expected.keys() == resumed.keys()
    assert all(torch.equal(expected[key], resumed[key]) for key in expected)


@pytest.mark.parametrize('net', ['retinanet', 'faster-rcnn'])
def test_two_processes_by_dist_train(net, tmp_path):
    config, options = prepare(net, tmp_path)
    command = ['bash', 'tools/dist_train.sh', config, 2, '--work-dir', tmp_path / 'run', '--cfg-options', *options]
    result = launch([*command, 'train_cfg.max_epochs=1'], PORT=str(free_port()))
    assert result.returncode == 0, result.stderr[-3000:]
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()
