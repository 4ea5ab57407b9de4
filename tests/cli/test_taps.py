"""The list of taps, and that the lines which it prints are terms that work."""

import pytest
import torch

from shake_mm.cli import taps
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from ..support.own_model import own_model

CLASSIFIERS = ['shake_mm::kd/kd_resnet14_resnet8_digits100.py']
DETECTORS = [
    'shake_mm::baseline/retinanet_r18-w8_digit-scenes.py',
    *('--teacher', 'shake_mm::baseline/retinanet_r18-w32_digit-scenes.py'),
]


def printed(argv, capsys):
    """The rows of the tables, by tap, and the terms of the lines."""
    assert taps.main(argv) == 0
    out = capsys.readouterr().out
    rows = {words[0]: words[1:] for line in out.splitlines() if (words := line.split()) and '.' in words[0]}
    lines = [line.strip() for line in out.splitlines() if line.startswith('    ')]
    return rows, eval(f'dict({"".join(lines)})', {'dict': dict}), out


def build(config, teacher, terms):
    from mmengine.hub import get_config

    models = [get_config(name).model for name in (config, teacher)]
    student = models[0].get('student', models[0])
    teachers = dict(config=teacher, trainable=True)
    return MODELS.build(dict(type='shake_mm.KD', student=student, teachers=teachers, terms=terms))


def test_classifiers_and_their_pairs(capsys):
    rows, terms, out = printed(CLASSIFIERS, capsys)
    assert rows['student.f2'] == ['2', '*', '16x16x16'] and rows['teacher0.f2'] == ['2', '*', '32x16x16']
    assert rows['student.backbone.layer3'] == ['4', '32x8x8'] and rows['student.logits'] == ['*', '100']
    assert terms.keys() == {'kd', 'hint_f1', 'hint_f2', 'hint_f3'} and 'deeper layers of student: --depth 3' in out
    model = build(CLASSIFIERS[0], 'shake_mm::baseline/resnet14_digits100.py', terms)
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([1, 2])
    assert {f'loss_{name}' for name in terms} <= model.train()(images, samples(labels), mode='loss').keys()


def samples(labels):
    from mmpretrain.structures import DataSample

    return [DataSample().set_gt_label(label) for label in labels]


def test_detectors_and_their_pairs(capsys):
    rows, terms, _ = printed(DETECTORS, capsys)
    assert rows['student.logits'] == ['*', '40x64x64,', '40x32x32,', '40x16x16']
    assert rows['teacher0.bbox_head'][0] == '40x64x64,' and 'hint_f3' in terms
    model = build(DETECTORS[0], DETECTORS[2], terms)
    assert set(terms) < set(model.terms)


def test_a_model_of_ones_own_and_a_student_alone(tmp_path, capsys):
    for name, width in (('student', 4), ('teacher', 6)):
        (tmp_path / f'{name}.py').write_text(f'model = {own_model(width)}\n')
    argv = [str(tmp_path / 'student.py')]
    assert 'No teacher' in printed(argv, capsys)[2]
    rows, terms, _ = printed([*argv, '--teacher', str(tmp_path / 'teacher.py')], capsys)
    assert rows['student.fc'] == ['5'] and terms['hint_backbone']['of'] == 'student.backbone'


def test_an_unknown_tap_points_here(make_classifier):
    terms = dict(x=dict(of='student.backbone.layr1', loss=dict(type='FitNetsLoss'), to='teacher0.f1'))
    teacher = dict(config=make_classifier(8), trainable=True)
    with pytest.raises(UsageError, match='did you mean .* `python -m shake_mm taps CONFIG` lists them all'):
        MODELS.build(dict(type='shake_mm.KD', student=make_classifier(6), teachers=teacher, terms=terms))
