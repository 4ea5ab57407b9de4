import json

import pytest
import torch
from mmengine.config import Config
from torch import nn

from benchmarks import compare_steps, external_baselines, plain_loops, steps, training
from benchmarks.cells import cell_steps, stage_models
from shake_mm import compat
from shake_mm.members import MemberSpec

from ..support.stacks import needs_mmrazor

PAIRS = {
    name: f'{compat.configs_dir()}/_base_/pairs/{name}-r18-w32_{name}-r18-w8_digit-scenes.py'
    for name in ('retinanet', 'faster-rcnn')
}


@pytest.mark.parametrize('clock', ['wall', 'cpu'])
def test_two_rounds(tmp_path, capsys, clock):
    out = tmp_path / 'times.json'
    options = ['--rounds', '2', '--steps', '1', '--warmup', '1', '--batch-size', '4', '--clock', clock]
    assert compare_steps.main([*options, '--out', str(out)]) == 0
    figures = json.loads(out.read_text())
    rows = {'plain_student', 'teacher', 'plain_kd', 'baseline', 'kd', 'shake', 'dml'}
    assert set(figures['seconds']) == rows and set(figures['bytes']) == rows
    named = {key: {above, *below} for key, (above, below) in steps.RATIOS.items()}
    assert set(figures['ratios']) == {key for key, own in named.items() if own <= rows}
    assert 0 < figures['bytes']['plain_student'] < figures['bytes']['kd'] <= figures['bytes']['shake']
    for spread in (*figures['seconds'].values(), *figures['ratios'].values()):
        assert 0 < spread['low'] <= spread['median'] <= spread['high']
    assert figures['setting']['image_size'] == 16 and figures['setting']['threads'] == 1
    shown = capsys.readouterr().out
    assert 'SHAKE step' in shown and 'MiB' in shown


@needs_mmrazor
def test_external_baselines_caches_and_an_image(tmp_path, monkeypatch):
    monkeypatch.setattr(external_baselines, 'IMAGES', 2000)
    monkeypatch.setattr(external_baselines, 'VIEWS', 3)
    out, plot = tmp_path / 'times.json', tmp_path / 'times.png'
    options = ['--rounds', '1', '--steps', '1', '--warmup', '0', '--batch-size', '4', '--methods', 'kd', '--mmrazor']
    assert compare_steps.main([*options, '--cached', '--out', str(out), '--plot', str(plot)]) == 0
    figures = json.loads(out.read_text())
    assert {'mmrazor_kd', 'kd_cached', 'shake_cached', 'shake_cold'} <= set(figures['seconds'])
    assert {'shake_cached/plain_student', 'shake_cached/mmrazor_kd'} <= set(figures['ratios'])
    assert plot.stat().st_size > 10_000


def test_cached_steps_read_and_never_run_the_teacher(tmp_path, monkeypatch):
    monkeypatch.setattr(external_baselines, 'IMAGES', 1000)
    monkeypatch.setattr(external_baselines, 'VIEWS', 2)
    specs = [
        MemberSpec.parse('x', f'{compat.configs_dir()}/baseline/{n}_digits100.py') for n in ('resnet8', 'resnet14')
    ]
    student, teacher = (spec.build() for spec in specs)
    data = plain_loops.ClassificationLoops.batch(student, 4, (16, 16))
    calls = []
    teacher.register_forward_pre_hook(lambda *_: calls.append(1))
    cache = external_baselines.filled_cache(str(tmp_path), 100)
    assert not cache.missing(slice(0, 1000)).any()
    step = external_baselines.CachedStep('shake', student, specs[0].config, teacher, data, 'cpu', cache, cold=True)
    calls.clear()  # those of the dry run
    seen = set()
    for _ in range(3):
        step.prepare()
        seen.add(tuple((sample.sample_idx, sample.view_idx) for sample in step.samples))
        assert torch.isfinite(step()['loss_proxy_from_teacher'])
    assert len(seen) == 3 and not calls


@needs_mmrazor
def test_mmrazor_computes_what_the_plain_loop_does():
    student, teacher = (
        training.initialized(MemberSpec.parse('x', f'{compat.configs_dir()}/baseline/{name}_digits100.py').build())
        for name in ('resnet8', 'resnet14')
    )
    data = plain_loops.ClassificationLoops.batch(student, 6, (16, 16))
    plain = plain_loops.ClassificationLoops(student, teacher, data, 'cpu')
    losses = []
    plain._update = losses.append
    plain.kd_step()
    torch.testing.assert_close(external_baselines.mmrazor_step(student, teacher, data, 'cpu')()['loss'], losses[0])


@pytest.mark.parametrize('name', PAIRS)
def test_detectors(tmp_path, capsys, name):
    out = tmp_path / 'times.json'
    options = ['--rounds', '1', '--steps', '1', '--warmup', '0', '--batch-size', '1', '--image-size', '32', '48']
    assert compare_steps.main(['--pair', PAIRS[name], *options, '--out', str(out)]) == 0
    figures = json.loads(out.read_text())
    assert list(figures['seconds']) == list(figures['bytes']) == ['plain_student', 'teacher', 'branch', 'kd', 'shake']
    sums = {f'{method}/(plain_student+teacher)' for method in ('kd', 'shake')}
    assert set(figures['ratios']) == {'shake/kd', 'shake/(plain_student+teacher+branch)', *sums}
    assert 0 < figures['bytes']['branch'] < figures['bytes']['shake'] > figures['bytes']['kd']
    assert figures['setting']['image_size'] == [32, 48]
    assert 'shadow branch' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('options', 'batch_size', 'image_size'),
    [
        ([], 64, 16),
        (['--pair', PAIRS['retinanet']], 16, 96),
        (['--pair', PAIRS['retinanet'], '--cfg-options', 'train_dataloader.dataset.image_size=None'], 16, 256),
        (['--batch-size', '3', '--image-size', '20'], 3, 20),
    ],
)
def test_sizes(monkeypatch, options, batch_size, image_size):
    """Of the command line, else of the config, else of the task."""
    given = {}
    monkeypatch.setattr(compare_steps.step_time, 'measure', lambda *_, **options: given.update(options))
    monkeypatch.setattr(compare_steps, 'show', lambda *_: None)
    assert compare_steps.main(options) == 0
    assert (given['batch_size'], given['image_size']) == (batch_size, image_size)


def test_an_image_has_two_sides(capsys):
    with pytest.raises(SystemExit):
        compare_steps.main(['--image-size', '1', '2', '3'])
    assert 'height and width' in capsys.readouterr().err


def test_other_networks_need_both_configs(capsys):
    assert compare_steps.main(['--student-config', 'a.py']) == 1
    assert 'belong together' in capsys.readouterr().err


def test_steps_do_what_they_say():
    """Ours and the plain loops change the student's weights; the teacher's stay."""
    pair = [f'{compat.configs_dir()}/baseline/{name}_digits100.py' for name in ('resnet8', 'resnet14')]
    plain = steps.build_steps(*pair, methods=(), batch_size=4, image_size=16, device='cpu')['plain_kd'].__self__
    student = [p.clone() for p in plain.student.parameters()]
    teacher = [v.clone() for v in plain.teacher.state_dict().values()]
    plain.kd_step()
    assert any(not p.equal(q) for p, q in zip(plain.student.parameters(), student, strict=True))
    assert all(v.equal(w) for v, w in zip(plain.teacher.state_dict().values(), teacher, strict=True))


@pytest.fixture
def detectors(request):
    """Steps of a pair of detectors, for images of 64 x 48."""
    pair = [f'{compat.configs_dir()}/baseline/{request.param}_r18-{width}_digit-scenes.py' for width in ('w8', 'w32')]
    return steps.build_steps(*pair, methods=('shake',), batch_size=2, image_size=(64, 48), device='cpu')


def count(module, calls):
    module.register_forward_hook(lambda _, args, output: calls.append((args, output)))


@pytest.mark.parametrize('detectors', ['retinanet'], indirect=True)
def test_parts_of_a_dense_detector(detectors):
    parts = detectors['teacher'].__self__
    calls, branch = [], [p.clone() for p in parts.branch.parameters()]
    count(parts.teacher.bbox_head, calls)
    detectors['teacher']()
    assert parts.inputs.shape == (2, 3, 64, 48) and len(calls) == 1
    assert [tuple(x.shape) for x in calls[0][1][0]] == [(2, 40, 16, 12), (2, 40, 8, 6), (2, 40, 4, 3)]
    assert not any(x.requires_grad for x in calls[0][1][0])
    assert [tuple(x.shape) for x in parts.features] == [(2, 24, 16, 12), (2, 24, 8, 6), (2, 24, 4, 3)]
    detectors['branch']()
    changed = [not p.equal(q) for p, q in zip(parts.branch.parameters(), branch, strict=True)]
    assert changed and all(changed) and all(x.grad is None for x in parts.features)


@pytest.mark.parametrize('detectors', ['faster-rcnn'], indirect=True)
def test_parts_of_a_detector_of_boxes(detectors):
    """The teacher classifies as many boxes as the student samples, and proposes none."""
    parts = detectors['teacher'].__self__
    calls, proposed = [], []
    count(parts.teacher.roi_head.bbox_head, calls)
    count(parts.teacher.rpn_head, proposed)
    detectors['teacher']()
    (features,), (logits, _) = calls[0]
    assert logits.shape == (len(features), 11) and len(features) == len(parts.features) > 2 and not proposed


@pytest.mark.parametrize('detectors', ['retinanet', 'faster-rcnn'], indirect=True)
def test_students_start_alike_and_learn(detectors):
    plain, ours = (detectors[name].__closure__ for name in ('plain_student', 'shake'))
    plain, ours = (
        next(c.cell_contents for c in cells if isinstance(c.cell_contents, nn.Module)) for cells in (plain, ours)
    )
    before = {key: value.clone() for key, value in plain.state_dict().items()}
    assert all(value.equal(before[key]) for key, value in ours.student.state_dict().items())
    losses = detectors['shake']()
    assert all(torch.isfinite(value).all() for value in losses.values()) and 'loss_student_from_proxy' in losses
    detectors['plain_student']()
    for network in (plain, ours.student):
        assert not network.backbone.conv1.weight.equal(before['backbone.conv1.weight'])


@pytest.mark.parametrize('size', [(40, 64), (200, 100)])
def test_boxes_lie_in_the_image(size):
    network = MemberSpec.parse('student', f'{compat.configs_dir()}/baseline/retinanet_r18-w8_digit-scenes.py').build()
    data = plain_loops.DetectionLoops.batch(network, 40, size)
    numbers = [len(sample.gt_instances) for sample in data['data_samples']]
    assert {1, 6} <= set(numbers) <= set(range(1, 7)) and {x.shape for x in data['inputs']} == {(3, *size)}
    x1, y1, x2, y2 = torch.cat([sample.gt_instances.bboxes for sample in data['data_samples']]).unbind(1)
    assert min(x1.min(), y1.min()) >= 0 and x2.max() <= size[1] and y2.max() <= size[0]
    for side, whole in ((x2 - x1, size[1]), (y2 - y1, size[0])):
        assert side.min() >= 0.125 * whole - 1e-4 and side.max() <= 0.5 * whole + 1e-4


def test_cells(tmp_path, capsys):
    """Forms of SHAKE beside KD; a method of two stages is measured in both."""
    configs = compat.configs_dir()
    names = {'kd': 'kd', 'kd-dagger-60': 'kd', 'shake-sbn-w50': 'shake', 'shake-fusion': 'shake'}
    paths = [f'{configs}/{folder}/{name}_resnet14_resnet8_digits100.py' for name, folder in names.items()]
    out = tmp_path / 'times.json'
    options = ['--rounds', '1', '--steps', '1', '--warmup', '0', '--batch-size', '2', '--out', str(out)]
    assert compare_steps.main(['--cells', *paths, *options]) == 0
    figures = json.loads(out.read_text())
    assert list(figures['seconds']) == list(figures['bytes']) == list(names)
    assert set(figures['ratios']) == {f'{name}/kd' for name in names} and figures['ratios']['kd/kd']['median'] == 1
    assert figures['setting']['image_size'] == 16 and 'shake-fusion' in capsys.readouterr().out


def test_stages_weigh_as_their_epochs():
    cfg = Config.fromfile(f'{compat.configs_dir()}/kd/kd-dagger-60_resnet14_resnet8_digits100.py')
    stages = cell_steps(cfg, 2, 16, 'cpu')
    assert [stage.share for stage in stages] == [0.25, 0.75]
    logged = [set(stage.step()) for stage in stages]
    assert 'teacher0.loss' in logged[0] and 'teacher0.loss' not in logged[1]


def test_cells_train_the_same_student():
    """Whatever a method builds beside it: a detector's step costs what the boxes cost that its weights propose."""
    found = []
    for method in ('kd', 'shake'):
        cfg = Config.fromfile(f'{compat.configs_dir()}/{method}/{method}_resnet14_resnet8_digits100.py')
        ((model, data, _),) = stage_models(cfg, 2, 16, 'cpu')
        found.append({**model.student.state_dict(), 'images': data['inputs'][0]})
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())
