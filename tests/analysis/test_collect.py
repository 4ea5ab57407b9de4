import pytest

from analysis.collect import AP, collect, parse_name
from shake_mm.errors import UsageError


@pytest.mark.parametrize(
    ('name', 'distilled', 'parts'),
    [
        ('kd-crd_resnet110_resnet20_cifar100', True, ('kd-crd', 'resnet110_resnet20', 'cifar100')),
        ('at_wrn-40-2_wrn-16-2_cifar100', True, ('at', 'wrn-40-2_wrn-16-2', 'cifar100')),
        ('kd_resnet34_resnet18_8xb32_in1k', True, ('kd', 'resnet34_resnet18', 'in1k')),
        ('resnet8_digits100-32px', False, ('', 'resnet8', 'digits100-32px')),
        ('resnet18_8xb32_in1k', False, ('', 'resnet18', 'in1k')),
    ],
)
def test_parse_name(name, distilled, parts):
    assert parse_name(name, distilled) == parts


@pytest.mark.parametrize(
    ('name', 'distilled', 'parts'),
    [
        ('retinanet_r18-w8_digit-scenes', False, ('', 'retinanet-r18-w8', 'digit-scenes')),
        ('faster-rcnn_r50_fpn_2x_coco', False, ('', 'faster-rcnn-r50', 'coco')),
        ('kd_retinanet-r101_retinanet-r50_2x_coco', True, ('kd', 'retinanet-r101_retinanet-r50', 'coco')),
    ],
)
def test_names_of_detectors(name, distilled, parts):
    assert parse_name(name, distilled, detector=True) == parts
    with pytest.raises(UsageError, match='DETECTOR_BACKBONE_DATASET'):
        parse_name('retinanet_coco', False, detector=True)


def test_detectors_are_collected_by_their_metric(log_run, tmp_path):
    log_run('a', 'retinanet_r18_coco', [0.1, 0.2], distilled=False, metric=AP)
    log_run('b', 'kd_a_b_d', [70.0])
    found = collect(tmp_path, metric=AP)
    assert [(run.pair, run.metrics[AP]) for run in found.records] == [('retinanet-r18', 0.2)]
    assert found.left_out == ['b: coco/bbox_mAP was not measured']
    assert [run.pair for run in collect(tmp_path).records] == ['a_b']


@pytest.mark.parametrize(('name', 'distilled'), [('my_shake', True), ('a_b_c', True), ('mine', False)])
def test_names_without_the_scheme(name, distilled):
    with pytest.raises(UsageError, match=f"'{name}' does not read"):
        parse_name(name, distilled)


def test_a_record(log_run, tmp_path):
    work_dir = log_run('deep/in/a', 'kd_a_b_d', [90.0, 80.0], seed=3, times=[9.0, 1.0, 2.0], **{'gap/teacher': 0.5})
    (record,) = collect(tmp_path).records
    assert (record.method, record.pair, record.data, record.seed, record.epochs) == ('kd', 'a_b', 'd', 3, 2)
    assert record.work_dir == work_dir and record.started == '20260101_000000' and record.seconds == 2.0
    assert record.metrics == {'accuracy/top1': 80.0, 'gap/teacher': 0.5, 'step': 2}


def test_the_last_validation_counts_unless_the_best_is_asked_for(log_run, tmp_path):
    log_run('a', 'kd_a_b_d', [70.0, 90.0, 80.0])
    assert collect(tmp_path).records[0].metrics['accuracy/top1'] == 80.0
    assert collect(tmp_path, best=True).records[0].metrics['accuracy/top1'] == 90.0


def test_what_is_left_out_is_told(log_run, tmp_path):
    log_run('half', 'kd_a_b_d', [1.0, 2.0], epochs=3)
    log_run('nothing', 'kd_a_b_d', [], epochs=1)
    log_run('strange', 'mine', [1.0])
    (log_run('bare', 'kd_a_b_d', [1.0]) / 'kd_a_b_d.py').unlink()
    found = collect(tmp_path)
    assert found.records == []
    assert found.left_out == [
        'bare: there is no config',
        'half: the last logged validation is of epoch 2, expected 3: is the run finished?',
        'nothing: the last logged validation is of epoch None, expected 1: is the run finished?',
        "strange: the config's name 'mine' does not read METHOD_TEACHER_STUDENT_DATASET",
    ]


def test_of_equal_trainings_the_latest_counts(log_run, tmp_path):
    log_run('a', 'kd_a_b_d', [1.0], start='20260102_000000')
    log_run('b', 'kd_a_b_d', [2.0], start='20260101_000000')
    log_run('c', 'kd_a_b_d', [3.0], start='20260103_000000', epochs=2)
    found = collect(tmp_path)
    assert [run.metrics['accuracy/top1'] for run in found.records] == [1.0]
    assert found.left_out == [
        'b: a is the same training, started later',
        'c: the last logged validation is of epoch 1, expected 2: is the run finished?',
    ]


def test_runs_without_a_seed_are_all_kept(log_run, tmp_path):
    for name in 'ab':
        log_run(name, 'kd_a_b_d', [1.0], seed=None)
    assert [run.seed for run in collect(tmp_path).records] == [None, None]


def test_one_data_set(log_run, tmp_path):
    log_run('a', 'kd_a_b_d', [1.0])
    log_run('b', 'b_e', [2.0], distilled=False)
    assert [run.data for run in collect(tmp_path).records] == ['d', 'e']
    assert [(run.method, run.pair) for run in collect(tmp_path, 'e').records] == [('', 'b')]


@pytest.mark.parametrize(
    'text',
    [
        'model = dict(',
        'import os\nos.mkdir("executed")',
        'model = 3\n',
        'model = dict()\n',
        '\xff\xfe',
        '',
        'model = open("x")',
    ]
    + ['model = dict()\ntrain_cfg = dict(max_epochs="two")', 'model = dict(stages=[3])\ntrain_cfg = dict(max_epochs=1)']
    + ['model = dict()\ntrain_cfg = [1]', 'model = dict()\ntrain_cfg = dict(max_epochs=1)\nrandomness = 3'],
)
def test_a_damaged_config_costs_its_own_row(log_run, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    log_run('a', 'kd_a_b_d', [70.0])
    (log_run('b', 'shake_a_b_d', [71.0]) / 'shake_a_b_d.py').write_bytes(text.encode('latin-1'))
    found = collect(tmp_path)
    assert [run.method for run in found.records] == ['kd'] and len(found.left_out) == 1
    assert found.left_out[0].startswith('b: ') and not (tmp_path / 'executed').exists()


@pytest.mark.parametrize(
    'line', ['{"step": 1', '{"accuracy/top1": "high", "step": 1}', '{"accuracy/top1": null, "step": 1}']
)
def test_a_damaged_log_costs_its_own_row(log_run, tmp_path, line):
    log_run('a', 'kd_a_b_d', [70.0])
    log = log_run('b', 'shake_a_b_d', [71.0]) / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.write_text(f'{line}\n')
    found = collect(tmp_path)
    assert [run.method for run in found.records] == ['kd'] and len(found.left_out) == 1
