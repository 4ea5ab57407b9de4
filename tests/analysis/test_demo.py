import json

from analysis import demo, demonstration

TINY = [
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'train_dataloader.dataset.num_samples=64',
    'val_dataloader.dataset.num_samples=50',
]


def test_miniature(tmp_path, capfd):
    """The whole demonstration with one seed and one epoch; the second call trains nothing."""
    args = ['--work-dir', str(tmp_path), '--seeds', '0', '--rounds', '1', '--cfg-options', *TINY]
    assert demo.main(args) == 0
    out = capfd.readouterr().out
    for part in ('baseline', 'KD', 'SHAKE − KD = ', 'single seed', 'Plain mmpretrain classifies', 'Done in'):
        assert part in out

    results = json.loads((tmp_path / 'results.json').read_text())
    assert results['epochs'] == 1 and results['seeds'] == [0] and set(results['methods']) == {'baseline', 'KD', 'SHAKE'}
    assert set(results['methods']['SHAKE']) >= {'accuracy/top1', 'proxy/top1', 'ensemble/top1', 'gap/teacher'}
    assert 'proxy/top1' not in results['methods']['KD']
    assert (tmp_path / 'demo.png').stat().st_size > 10000
    assert len(list((tmp_path / 'student').glob('*.pth'))) == 1

    teacher, students = demo.plan(demo.parse_args(args))
    assert teacher.finished() and all(run.finished() for runs in students.values() for run in runs)
    _, changed = demo.plan(demo.parse_args([*args, 'optim_wrapper.optimizer.lr=1.0']))
    assert not any(run.finished() for runs in changed.values() for run in runs)


def test_failure(tmp_path, capsys):
    args = ['--work-dir', str(tmp_path), '--seeds', '0', '--cfg-options', 'train_dataloader.batch_size=-1']
    assert demo.main(args) == 1
    assert 'teacher failed (exit status' in capsys.readouterr().err


def test_interruption(tmp_path, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(demonstration, 'train_all', interrupted)
    assert demo.main(['--work-dir', str(tmp_path)]) == 130
    assert 'interrupted' in capsys.readouterr().err
