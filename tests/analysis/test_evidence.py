"""Evidence: rows become configs, runs become records, records become pages; nothing is measured twice."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from analysis.evidence import __main__ as command
from analysis.evidence import pages, records, summary
from analysis.evidence.compose import CONFIGS, compose
from analysis.evidence.records import Record
from analysis.evidence.rows import HINTS, PLAIN, Row, kd, shake
from analysis.evidence.studies import STUDIES, Study
from analysis.evidence.train import missing, record_of, share_of, switches_of, train
from shake_mm.cli.run_grid import Plan
from shake_mm.errors import UsageError
from shake_mm.grid.scalars import Scalars
from shake_mm.switches import make_batched, make_cached

from ..support.garments import write_garments

STUDY = Study('tiny', 'Does it help?', 'fashion-few', ('resnet14_resnet8',), (Row(PLAIN), kd(2, 1.5)), (0, 1), 'val')
PAIR = STUDY.pairs[0]


def record(row, seed, value, **changes):
    values = dict(gap=None, step=0.01, config='abc', commit='1234567', machine='a processor', date='2026-01-01')
    return Record(row=row, pair=PAIR, seed=seed, value=value, **{**values, **changes})


def test_every_study_names_configs_that_exist():
    for study in STUDIES.values():
        assert len(study.seeds) >= 2 and all(any(map(row.fits, study.pairs)) for row in study.rows)
        assert study.split == 'val' or len(study.seeds) >= (3 if study.gpu else 5)
        for pair in study.pairs:
            names = [row.name for row in study.rows_of(pair)]
            assert PLAIN in names and len(set(names)) == len(names), pair
            assert (command.ROOT / f'configs/_base_/pairs/{pair}_{study.data}.py').is_file()
        for row in study.rows:
            assert not row.method or (command.ROOT / f'configs/_base_/methods/{row.method}.py').is_file(), row


def test_a_row_becomes_one_config(tmp_path):
    cfg = Config.fromfile(compose(STUDY, shake(2, 0.5), PAIR, tmp_path))
    assert (cfg.model.type, cfg.model.tau, cfg.model.lam) == ('shake_mm.SHAKE', 2, 0.5)
    assert cfg.model.teachers[0].checkpoint.endswith('.pth') and cfg.val_dataloader.dataset.split == 'val'
    assert cfg.train_cfg.val_interval == cfg.train_cfg.max_epochs and 'dynamic_intervals' not in cfg.train_cfg
    test = replace(STUDY, split='test')
    cfg = Config.fromfile(compose(test, Row('DML', 'dml'), PAIR, tmp_path))
    assert cfg.val_dataloader.dataset.split == 'test' and 'checkpoint' not in cfg.model.teachers[0]
    assert 'student' not in Config.fromfile(compose(test, Row(PLAIN), PAIR, tmp_path)).model
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith('.')] == []
    with pytest.raises(UsageError, match='change model.nothing.tau leads nowhere'):
        compose(STUDY, Row('x', 'kd', {'model.nothing.tau': 1}), PAIR, tmp_path)


@pytest.mark.parametrize(
    'name', ['methods-few', *(pytest.param(n, marks=pytest.mark.slow) for n in STUDIES if n != 'methods-few')]
)
def test_every_row_takes_its_switches(tmp_path, name):
    """Its changes lead somewhere, and its data can be read as the study reads them."""
    study = STUDIES[name]
    for row in study.rows:
        pair = next(filter(row.fits, study.pairs))
        cfg = Config.fromfile(compose(study, row, pair, tmp_path))
        switched = switches_of(row, tmp_path) if study.batched else ()
        if '--batched' in switched:
            make_batched(cfg)
        assert ('ContrastDataset' in str(cfg.train_dataloader)) == row.contrasted
        assert row.cached == ('--cache-teachers' in switched) or not study.batched
        if '--cache-teachers' in switched:
            make_cached(cfg, str(tmp_path))


def test_weights_of_features_begin_with_the_benchmarks():
    for name, weight in HINTS.items():
        method = Config.fromfile(CONFIGS / f'_base_/methods/{name}.py').method
        assert method.terms[name].weight == weight, name


def test_records_are_kept_once_and_in_order(tmp_path):
    for entry in (record('b', 1, 80.0), record('b', 0, 79.0), record('a', 0, 1.0), record('b', 1, 81.0)):
        records.add('tiny', entry, tmp_path)
    assert [(r.row, r.seed, r.value) for r in records.read('tiny', tmp_path)] == [
        ('a', 0, 1.0),
        ('b', 0, 79.0),
        ('b', 1, 81.0),
    ]
    assert records.read('other', tmp_path) == []
    (tmp_path / 'tiny.json').write_text('{"records": [{}]}')
    with pytest.raises(UsageError, match=r'tiny\.json is damaged'):
        records.read('tiny', tmp_path)


def test_the_interval_is_students():
    """Differences 1, 2, 3: mean 2, standard error 1/√3, and t of 2 degrees of freedom at 97.5 % is 4.302653."""
    mean, half = pages.interval([1.0, 2.0, 3.0])
    assert mean == 2 and half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert math.isnan(pages.interval([1.0])[1])


def test_a_page_pairs_by_seed():
    """KD and the plain student share seeds 0 and 1: +1 and +3. Seed 2 of KD has no partner."""
    found = [record(PLAIN, 0, 80.0), record(PLAIN, 1, 81.0), record('KD', 0, 81.0, gap=0.25, step=0.02, share=0.3)]
    found += [
        record('KD', 1, 84.0, gap=0.35, step=0.02),
        record('KD', 2, 99.0, gap=0.3, step=0.02, teacher=90.5),
        record('old', 0, 5.0),
    ]
    study = replace(STUDY, rows=(Row(PLAIN), Row('KD', 'kd')), seeds=(0, 1, 2), pairs=(PAIR, 'a_b', 'c_d'))
    page = pages.render(study, found)
    half = 12.706205 * math.sqrt(2) / math.sqrt(2)
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in page.splitlines() if line.startswith('| ')]
    assert rows[0] == ['row', '%', 'seeds', 'to plain', 'to KD', 'gap to teacher', 'share', 'step / KD']
    assert rows[2] == [
        'KD',
        '88.00 ± 9.64',
        '3',
        f'+2.00 [{2 - half:+.2f}, {2 + half:+.2f}]',
        '–',
        '0.300',
        '30 %',
        '1.00',
    ]
    assert rows[3][:4] == ['plain', '80.50 ± 0.71', '2', '–'] and rows[3][-1] == '0.50'
    assert 'The teacher: 90.50 %.' in page and 'The teacher' not in pages.render(study, found[:2])
    assert 'Not run yet: a → b, c → d.' in page and '## a' not in page
    assert 'old' not in page and 'Not whole yet: plain.' in page and 'held back' in page


def test_the_share_of_the_divergences_is_the_mean_of_what_was_logged():
    """The student's own loss does not count, and neither do steps in which nothing was measured."""
    rows = [
        {'loss': 1.0},
        {'share/task': 0.5, 'share/a': 0.3, 'share/task_aid': 0.2},
        {'share/task': 0.9, 'share/a': 0.1},
    ]
    assert share_of(Scalars(rows, [])) == pytest.approx(0.3)
    assert share_of(Scalars(rows[:1], [])) is None


def test_a_teacher_that_is_trained_along_is_not_the_pairs(monkeypatch):
    scalars = Scalars([], [{'step': 1, 'accuracy/top1': 50.0, 'teacher/top1': 60.0, 'gap/teacher': 0.5}])
    monkeypatch.setattr('analysis.evidence.train.read_run', lambda folder: scalars)
    run = SimpleNamespace(work_dir='', epochs=1, fingerprint='abc')
    for row, told in ((Row('DML', 'dml'), (None, None)), (kd(2, 1), (60.0, 0.5))):
        kept = record_of(STUDY, row, PAIR, 0, run)
        assert (kept.value, kept.teacher, kept.gap) == (50.0, *told)


def test_a_study_goes_on_where_it_stopped(tmp_path):
    """One real run of each row, with a teacher that is trained once."""
    data = write_garments(tmp_path / 'data')
    small = [f'{name}_dataloader.dataset.{key}' for name in ('train', 'val', 'test') for key in ('data_root',)]
    options = [f'{key}={data}' for key in small]
    options += [f'{name}_dataloader.dataset.num_samples=60' for name in ('train', 'val', 'test')]
    options += ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_cfg.dynamic_intervals=None']
    options += ['default_hooks.checkpoint.interval=1']
    study = replace(STUDY, seeds=(0,), options=tuple(options))
    said = []
    assert train(study, tmp_path / 'work', 0, said.append, tmp_path) == 2 and not said
    assert train(study, tmp_path / 'work', 10, said.append, tmp_path) == 0
    found = {r.row: r for r in records.read('tiny', tmp_path)}
    assert set(found) == {PLAIN, 'KD τ=2 λ=1.5'} and len(said) == 2
    assert all(0 <= r.value <= 100 and r.step > 0 and r.machine for r in found.values())
    assert found['KD τ=2 λ=1.5'].gap > 0 and found[PLAIN].gap is None
    assert 0 <= found['KD τ=2 λ=1.5'].teacher <= 100 and found[PLAIN].teacher is None
    assert list(missing(study, tmp_path)) == []
    runs = sorted(path.parent.name for path in (tmp_path / 'work').rglob('epoch_1.pth'))
    assert len(runs) == 1, 'only the teacher is kept'


def tiny_options(data, epochs):
    """Options with which a run takes seconds."""
    parts = ('train', 'val', 'test')
    options = [f'{part}_dataloader.dataset.data_root={data}' for part in parts]
    options += [f'{part}_dataloader.dataset.num_samples=60' for part in parts]
    options += [f'train_cfg.max_epochs={epochs}', f'train_cfg.val_interval={epochs}']
    return (*options, 'train_cfg.dynamic_intervals=None')


def test_rows_of_detectors(tmp_path):
    study = STUDIES['detectors']
    rows = {row.name: row for row in study.rows}
    plain = Config.fromfile(compose(study, rows[PLAIN], study.pairs[0], tmp_path))
    assert plain.model.type == 'FasterRCNN' and plain.model.backbone.base_channels == 8
    late = Config.fromfile(compose(study, rows['KD τ=1 after 4 epochs'], study.pairs[0], tmp_path))
    assert late.model.stages.settle.until == 4 and late.model.tau == 1 and late.train_cfg.max_epochs == 12
    weighed = Config.fromfile(compose(study, rows['SHAKE τ=1, boxes by confidence'], study.pairs[0], tmp_path))
    assert {term.loss.weighting for term in weighed.model.terms.values()} == {'confidence'}
    assert len(weighed.model.terms) == 3


@pytest.mark.slow
def test_a_study_for_a_gpu_goes_on_within_a_run(tmp_path):
    """Stopped before the first epoch, then trained to the end: teacher, KD and the student alone, on few pictures."""
    options = tiny_options(write_garments(tmp_path / 'data'), 2)
    study = replace(STUDY, seeds=(0,), options=options, gpu=True, rows=(Row(PLAIN), kd(2, 1)))
    assert train(study, tmp_path / 'work', 0.02, print, tmp_path) == 2
    assert not records.read('tiny', tmp_path)
    assert train(study, tmp_path / 'work', 20, print, tmp_path) == 0
    found = records.read('tiny', tmp_path)
    assert {r.row for r in found} == {PLAIN, 'KD τ=2 λ=1'} and all(0 <= r.value <= 100 for r in found)
    log = next((tmp_path / 'work' / 'tiny' / 'resnet14_fashion-few' / 'seed0').glob('*/*.log'))
    assert 'Epoch(train) [2]' in log.read_text()


def test_the_studies_of_a_kind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command.main(['--gpu']) == 1 and '--gpu: there is no accelerator' in capsys.readouterr().err
    monkeypatch.setattr(command, 'get_device', lambda: 'cuda')
    assert command.named(gpu=True, cpu=False) == ['paper-fashion100']
    assert 'paper-cifar100: data/cifar100 is not there' in capsys.readouterr().out
    (tmp_path / 'data' / 'cifar100').mkdir(parents=True)
    assert command.named(gpu=True, cpu=False) == ['paper-fashion100', 'paper-cifar100']
    assert 'weights-few' in command.named(gpu=False, cpu=True)
    paper = STUDIES['paper-fashion100']
    assert (
        len(paper.pairs) == 9 and len(paper.seeds) == 3 and {row.name for row in paper.rows} == {PLAIN, 'KD', 'SHAKE'}
    )
    run = Plan(str(tmp_path), paper.options).add(str(compose(paper, Row('KD', 'kd'), paper.pairs[0], tmp_path)), 0)
    for cfg in (run.load(), run.after[0].load()):
        assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == 240
        assert cfg.param_scheduler.milestones == [150, 180, 210] and cfg.train_cfg.get('dynamic_intervals') is None
    long = STUDIES['long-few']
    cfg = Plan(str(tmp_path), long.options).add(str(compose(long, Row(PLAIN), long.pairs[0], tmp_path)), 0).load()
    assert cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == 80
    assert cfg.param_scheduler.milestones == [48, 64, 72]


def test_a_longer_schedule_of_the_students_alone(tmp_path):
    """Their teachers are those of other studies on the same data."""
    long = STUDIES['long-detectors']
    run = Plan(str(tmp_path), long.options).add(str(compose(long, long.rows[1], long.pairs[1], tmp_path)), 0)
    student, teacher = run.load(), run.after[0].load()
    assert student.train_cfg.max_epochs == student.train_cfg.val_interval == student.param_scheduler[1].T_max == 36
    assert teacher.train_cfg.max_epochs == teacher.param_scheduler[1].T_max == 12
    assert student.val_dataloader.dataset.split == 'test'
    with pytest.raises(UsageError, match=r'change param_scheduler\.2\.T_max leads nowhere, as there is no 2'):
        compose(replace(long, changes={'param_scheduler.2.T_max': 36}), long.rows[1], long.pairs[1], tmp_path)


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, 'ROOT', tmp_path)
    for name in ('README.md', 'docs/which_method.md'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'{summary.BEGIN}{summary.END}', encoding='utf-8')
    assert command.main(['nothing']) == 1 and "there is no study 'nothing'" in capsys.readouterr().err
    of_faster = ['report-detectors', '--row', 'CrossKD', '--pair', STUDIES['report-detectors'].pairs[0]]
    assert command.main(of_faster) == 1 and '--row CrossKD fits pairs of retinanet alone' in capsys.readouterr().err
    assert (
        command.main(['methods-few', '--row', 'KDD']) == 1
        and '--row: methods-few has the rows' in capsys.readouterr().err
    )
    assert command.main(['methods-few', '--row', 'KD', '--seed', '3', '--work-dir', str(tmp_path)]) == 0
    assert 'methods-few: 2 runs are missing' in capsys.readouterr().out
    assert '| KD |' in (tmp_path / 'README.md').read_text(encoding='utf-8')


def test_the_protocol_names_every_study():
    page = (command.ROOT / 'docs' / 'evidence.md').read_text(encoding='utf-8')
    rows = {line.split('`')[1]: line for line in page.splitlines() if line.startswith('| `')}
    assert set(rows) == set(STUDIES)
    for name, study in STUDIES.items():
        assert f'`{study.data}`' in rows[name] and f'| {len(study.seeds)}' in rows[name]
        assert ('test pictures' in rows[name]) == (study.split == 'test')
