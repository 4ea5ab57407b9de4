"""A segmentor's whole way: train by the tools, evaluate every member, resume, export, segment in plain mmseg."""

import json

import mmcv
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from shake_mm.cli import report
from shake_mm.compat import configs_dir
from shake_mm.export import export_student
from shake_mm.registry import MODELS
from tools import test as test_tool
from tools import train as train_tool

from .support.detectors import lively

TINY = [
    'train_dataloader.dataset.num_images=6',
    'train_dataloader.batch_size=2',
    'val_dataloader.dataset.num_images=3',
    'test_dataloader.dataset.num_images=3',
    'train_cfg.max_epochs=2',
    'train_cfg.val_interval=1',
    'default_hooks.logger.interval=1',
    "val_evaluator.iou_metrics=['mIoU','mDice']",
    "test_evaluator.iou_metrics=['mIoU','mDice']",
    'custom_hooks.0.measure=*',
    'log_level=WARNING',
    'randomness.seed=0',
    # dropout draws from a generator whose state no checkpoint holds
    'model.student.decode_head.dropout_ratio=0.0',
    'model.student.auxiliary_head.dropout_ratio=0.0',
]


@pytest.fixture(params=['shake', 'kd'])
def run(request, tmp_path):
    """A finished run of two epochs: config file, options, folder."""
    teacher = Config.fromfile(f'{configs_dir()}/baseline/fcn_r18-w16_digit-masks.py')
    with DefaultScope.overwrite_default_scope('mmseg'):
        network = lively(ConfigDict(teacher.model), 3)
    torch.save({'state_dict': network.state_dict()}, tmp_path / 'teacher.pth')
    roots = [f'{loader}_dataloader.dataset.data_root={tmp_path / "data"}' for loader in ('train', 'val', 'test')]
    options = [*TINY, *roots, f'model.teachers.0.checkpoint={tmp_path / "teacher.pth"}']
    config = f'{configs_dir()}/{request.param}/{request.param}_fcn-r18-w16_fcn-r18-w8_digit-masks.py'
    folder = tmp_path / 'run'
    assert train_tool.main([config, '--work-dir', str(folder), '--cfg-options', *options]) == 0
    return config, options, folder


def test_from_training_to_segmentation(run, tmp_path):
    config, options, folder = run
    shake = 'shake_fcn' in config
    states = torch.load(folder / 'epoch_2.pth', weights_only=True)['state_dict']
    assert any(key.startswith('proxies.') for key in states) == shake and not any('teacher' in key for key in states)
    lines = [json.loads(line) for line in next(folder.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    assert {'student.decode.loss_ce', 'student.aux.loss_ce'} <= set(lines[0])
    members = ('teacher', 'proxy') if shake else ('teacher',)
    assert {'mIoU', *(f'{member}/mIoU' for member in members), *(f'gap/{m}' for m in members)} <= set(lines[-1])

    # another member's by mmsegmentation's own metric alone, as the run has measured it
    for member in ('student', *(f'{member}0' for member in members)):
        out = tmp_path / f'{member}.json'
        command = [config, str(folder / 'epoch_2.pth'), '--work-dir', str(tmp_path / 'test'), '--member', member]
        command += ['--out', str(out), '--out-item', 'metrics', '--cfg-options', *options]
        assert test_tool.main(command) == 0
        key = 'mIoU' if member == 'student' else f'{member[:-1]}/mIoU'
        found = json.loads(out.read_text())
        assert found['mIoU'] == pytest.approx(lines[-1][key], abs=0.006)
        assert found['mDice'] == lines[-1][key.replace('mIoU', 'mDice')]  # the run's own metrics, of each member

    # the report, of what members say of the same pixels
    assert report.main([str(folder), '--out', str(tmp_path / 'report')]) == 0
    assert {'agreement', 'calibration', 'masks'} <= {path.stem for path in (tmp_path / 'report').glob('*.png')}
    page = (tmp_path / 'report' / 'report.html').read_text()
    assert (
        'student/mIoU' in page
        and 'Asked of 3 pictures' in page
        and all(f'<th>{m}: % right</th>' in page for m in ('student', *members))
    )

    # a resumed run ends like an uninterrupted one
    (folder / 'epoch_2.pth').unlink()
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    assert train_tool.main([config, '--work-dir', str(folder), '--resume', '--cfg-options', *options]) == 0
    resumed = torch.load(folder / 'epoch_2.pth', weights_only=True)['state_dict']
    assert resumed.keys() == states.keys() and all(torch.equal(states[key], resumed[key]) for key in states)

    # a plain segmentor
    from mmseg.apis import inference_model, init_model

    weights, plain = export_student(Config.fromfile(config), str(folder / 'epoch_2.pth'), str(tmp_path / 'seg.pth'))
    text = plain.read_text()
    assert not any(word in text for word in ('SHAKE', 'teacher', 'prox', 'StageHook'))
    image = mmcv.imread(sorted((tmp_path / 'data').glob('val*/images/*.png'))[0])
    found = inference_model(init_model(str(plain), str(weights), device='cpu'), image)
    with DefaultScope.overwrite_default_scope('mmseg'):
        student = MODELS.build(Config.fromfile(config).model.student).eval()
        student.load_state_dict({k.removeprefix('student.'): v for k, v in resumed.items() if k.startswith('student.')})
        inputs = student.data_preprocessor(dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)], data_samples=None))
        with torch.no_grad():
            (wanted,) = student(inputs['inputs'], mode='predict')
    assert torch.equal(found.pred_sem_seg.data, wanted.pred_sem_seg.data)
    torch.testing.assert_close(found.seg_logits.data, wanted.seg_logits.data)
