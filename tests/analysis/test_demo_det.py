import json

import pytest
from mmengine.config import Config

from analysis import demo_det

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
PROXY = "SHAKE's proxy"


@pytest.fixture
def tiny(tmp_path):
    """One epoch on eight images."""
    options = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
    for loader in LOADERS:
        options += [f'{loader}.dataset.num_images=8', f'{loader}.dataset.data_root={tmp_path / "data"}']
    return options


def test_miniature(tmp_path, tiny, capfd):
    """The whole demonstration with one epoch; the second call trains nothing and measures the same."""
    args = ['--work-dir', str(tmp_path / 'demo'), '--cfg-options', *tiny]
    assert demo_det.main(args) == 0
    out = capfd.readouterr().out
    for part in ('RetinaNet after 1 epochs', 'baseline', 'KD', PROXY, 'AP: SHAKE − KD = ', 'Plain mmdet finds', 'Done'):
        assert part in out
    assert 'Loads checkpoint' not in out and 'index created' not in out

    text = (tmp_path / 'demo' / 'results.json').read_text()
    results = json.loads(text)
    assert list(results['methods']) == ['teacher', 'baseline', 'KD', 'SHAKE', PROXY]
    assert (results['detector'], results['epochs'], results['seeds']) == ('retinanet', 1, [0])
    assert all(set(row) == {'AP', 'AP50', 'by seed'} for row in results['methods'].values())
    assert (tmp_path / 'demo' / 'demo.png').stat().st_size > 100_000
    (weights,) = (tmp_path / 'demo' / 'student').glob('*.pth')
    (config,) = (tmp_path / 'demo' / 'student').glob('*.py')
    assert weights.stat().st_size > 10_000 and Config.fromfile(config).model.type == 'RetinaNet'

    teacher, students = demo_det.plan(demo_det.parse_args(args))
    runs = [run for method in students.values() for run in method]
    assert teacher.finished() and all(run.finished() for run in runs)
    times = [run.checkpoint.stat().st_mtime for run in (teacher, *runs)]
    assert demo_det.main(args) == 0
    assert [run.checkpoint.stat().st_mtime for run in (teacher, *runs)] == times
    assert 'SHAKE, seed 0: finished earlier, not trained again' in capfd.readouterr().out
    assert (tmp_path / 'demo' / 'results.json').read_text() == text


def test_plan(tmp_path):
    """Each detector has its folder; the plain baseline knows no teacher."""
    args = demo_det.parse_args(['--detector', 'faster-rcnn', '--seeds', '0', '1'])
    teacher, students = demo_det.plan(args)
    assert teacher.work_dir.parent.name == 'demo-det-faster-rcnn' and teacher.load().model.type == 'FasterRCNN'
    assert [run.work_dir.name for run in students['SHAKE']] == ['shake_seed0', 'shake_seed1']
    assert students['baseline'][0].after == () and students['KD'][0].after == (teacher,)
    for name, kind in (('KD', 'shake_mm.KD'), ('SHAKE', 'shake_mm.SHAKE')):
        model = students[name][0].load().model
        assert model.type == kind and model.teachers[0].checkpoint == str(teacher.checkpoint)
    assert demo_det.parse_args([]).work_dir.endswith('demo-det')


def test_results():
    """Typed by hand: points, means, and differences."""
    rows = {'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_50': 0.5}
    assert demo_det.points(rows) == {'AP': 25.0, 'AP50': 50.0} and demo_det.points({}) == {'AP': 0.0, 'AP50': 0.0}
    found = {
        name: [{'AP': ap, 'AP50': 2 * ap}, {'AP': ap + 2, 'AP50': 2 * ap}]
        for name, ap in {'baseline': 10, 'KD': 20, 'SHAKE': 21, PROXY: 30}.items()
    }
    args = demo_det.parse_args(['--seeds', '0', '1'])
    results = demo_det.summarize(args, 12, {'teacher': [{'AP': 60, 'AP50': 80}], **found}, [[{}, rows]])
    assert results['methods']['KD']['AP']['mean'] == 21 and results['methods']['teacher']['AP']['n'] == 1
    assert results['differences'][0].startswith('AP: KD − baseline = +10.00 points, which exceeds')
    assert results['differences'][2].startswith('AP: SHAKE − KD = +1.00 points, which does not exceed')
    assert results['convergence'] == 25.0


def test_failure(tmp_path, capsys):
    args = ['--work-dir', str(tmp_path), '--cfg-options', 'train_dataloader.batch_size=-1']
    assert demo_det.main(args) == 1
    assert 'teacher failed (exit status' in capsys.readouterr().err
