"""A classifier's other members in the student's place, in the test pass of a real run."""

import pytest
from mmengine.runner import Runner

from shake_mm.engine import Distiller, MemberPredictor
from shake_mm.errors import UsageError
from shake_mm.hooks import MemberEvalHook
from shake_mm.registry import MODELS

from ..support.runs import run_config, train


def test_each_member_is_measured_as_the_member_metric_measures_it(shake, tmp_path):
    runner = train(shake, tmp_path)
    expected = runner.val_loop.run()
    again = Runner.from_cfg(run_config(shake, tmp_path, load_from=str(tmp_path / 'epoch_1.pth')))
    for member, name in (('proxy0', 'proxy'), ('teacher0', 'teacher'), ('student', 'student')):
        hook = next(hook for hook in again.hooks if isinstance(hook, MemberEvalHook))
        hook.member = member
        found = again.test()
        assert isinstance(again.model, Distiller)
        assert found['accuracy/top1'] == pytest.approx(expected[f'{name}/top1'], abs=1e-4)
        assert ('gap/teacher' in found) == (member == 'student')


def test_a_teacher_that_trains_along_speaks_too(make_classifier, batch):
    model = MODELS.build(dict(type='shake_mm.DML', student=make_classifier(6), teachers=make_classifier(8))).eval()
    inputs, samples = batch()
    found = MemberPredictor(model, 'teacher0').evaluate(inputs, samples)
    expected = model.peers['teacher0'](inputs, mode='tensor').softmax(1)
    assert all((sample.pred_score == scores).all() for sample, scores in zip(found, expected))


def test_members_are_named_where_one_does_not_exist(shake):
    with pytest.raises(UsageError, match='the members are student, teacher0, proxy0'):
        MemberPredictor(MODELS.build(shake), 'teacher1')
