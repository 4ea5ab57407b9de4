import json

from analysis import demo, demonstration

from ..support.garments import write_garments

TINY = [
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'train_dataloader.dataset.num_samples=64',
    'val_dataloader.dataset.num_samples=50',
]


def test_miniature(tmp_path, capfd):
    """The whole demonstration with one seed and one epoch; the second call trains nothing."""
    args = [
        '--work-dir',
        str(tmp_path),
        '--pictures',
        'digits',
        '--seeds',
        '0',
        '--rounds',
        '1',
        '--cfg-options',
        *TINY,
    ]
    assert demo.main(args) == 0
    out = capfd.readouterr().out
    for part in (
        "pairs of scikit-learn's handwritten digits",
        'baseline',
        'KD',
        'SHAKE − KD = ',
        'single seed',
        'Plain mmpretrain classifies',
        'Done in',
    ):
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


def test_garments_where_they_are(tmp_path, monkeypatch):
    """Without data the digits, as they always were; with them real pictures, for as long as two cores take."""
    monkeypatch.chdir(tmp_path)
    args = demo.parse_args(['--seeds', '0', '1', '2'])
    assert demo.pictures_of(args) is demo.DIGITS
    teacher, students = demo.plan(args)
    assert teacher.options == () and teacher.config.name == 'resnet14_digits100.py'
    write_garments(tmp_path / 'data' / 'fashion_mnist')
    assert demo.pictures_of(args) is demo.GARMENTS
    teacher, students = demo.plan(args)
    assert set(students) == {'baseline', 'KD', 'SHAKE'} and all(len(runs) == 3 for runs in students.values())
    for run in (teacher, *(runs[2] for runs in students.values())):
        cfg = run.load()
        assert run.epochs == 8 and cfg.train_dataloader.dataset.type == 'shake_mm.Garments'
        assert cfg.param_scheduler.milestones == [5, 6, 7] and cfg.train_cfg.val_interval == 4
    assert demo.pictures_of(demo.parse_args(['--pictures', 'digits'])) is demo.DIGITS


def test_the_verdict_is_paired_by_seed():
    """Differences 1, 2, 3: 2 ± 4.302653 / √3."""
    sentence = demo.paired('KD', [61.0, 72.0, 53.0], 'baseline', [60.0, 70.0, 50.0])
    assert sentence == (
        'KD − baseline = +2.00 points, 95 % interval -0.48 to +4.48 of 3 seeds, which tells neither way.'
    )
    assert demo.paired('KD', [5.0, 5.1, 5.2], 'baseline', [1.0, 1.0, 1.0]).endswith('so KD is ahead.')
    assert demo.paired('KD', [5.0], 'baseline', [1.0]).endswith('a single seed: nothing can be said of others.')


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
