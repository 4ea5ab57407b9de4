"""Members measured by the run's own metrics, in real runs of detectors, each against a pass of its own."""

import ast
import copy
import json
import re

import mmengine
import pytest
import torch
from mmdet.datasets import ConcatDataset
from mmdet.evaluation import MultiDatasetsEvaluator
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.evaluator import DumpResults, Evaluator
from mmengine.runner import Runner
from torch.utils.data import Dataset

from shake_mm.cli.test import DumpHook
from shake_mm.engine import Distiller
from shake_mm.errors import UsageError
from shake_mm.evaluation import MemberEvaluator
from shake_mm.hooks import MemberEvalHook

from ..support.detectors import CLASSES, detector, lively, scenes
from ..support.environments import ROOT
from ..support.runs import run_config, train

COUNT = 6
PAGE = (ROOT / 'docs/logs.md').read_text()
MEASURE = ast.literal_eval(re.search(r'measure=(\[.+?\])', PAGE)[1])


class Scenes(Dataset):
    """Scenes with their truth, which VOCMetric reads."""

    metainfo = dict(classes=tuple('abcde'), dataset_type='VOC2012')

    def __len__(self):
        return COUNT

    def __getitem__(self, i):
        return {key: value[i] for key, value in copy.deepcopy(scenes(COUNT)).items()}


class ListedScenes(BaseDataset):
    """As many of the same scenes, of a class that data sets can be joined of."""

    METAINFO = Scenes.metainfo

    def __init__(self, count=COUNT):
        self.count = count
        super().__init__()

    def load_data_list(self):
        return [{} for _ in range(self.count)]

    def prepare_data(self, i):
        return Scenes()[i]


def shake_of(kind, folder, classes=CLASSES):
    """A SHAKE config of a detector whose frozen teacher is wider."""
    teacher = detector(kind, width=6, classes=classes)
    torch.save({'state_dict': lively(teacher).state_dict()}, folder / 'teacher.pth')
    proxy = {} if classes == CLASSES else dict(proxies=[], terms=dict(task=dict(of='student')))
    return dict(
        type='shake_mm.SHAKE' if classes == CLASSES else 'shake_mm.Distiller',
        student=detector(kind),
        teachers=dict(config=teacher, checkpoint=str(folder / 'teacher.pth')),
        **proxy,
    )


def runner_of(model, folder, epochs=2, **hook):
    """A run of a few steps that validates after each epoch, at an overlap that untrained detectors reach."""
    loader = dict(
        batch_size=2,
        num_workers=0,
        dataset=Scenes(),
        collate_fn=pseudo_collate,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    metric = dict(type='mmdet.VOCMetric', iou_thrs=0.05, eval_mode='area')
    return Runner(
        model=copy.deepcopy(model),
        work_dir=str(folder),
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        val_evaluator=metric,
        test_evaluator=metric,
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        val_cfg={},
        test_cfg={},
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
        custom_hooks=[dict(type='shake_mm.MemberEvalHook', **hook), dict(type='shake_mm.StageHook')],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', save_best='auto', rule='greater')),
        randomness=dict(seed=0),
        default_scope='mmdet',
        log_level='INFO',
        experiment_name=f'{folder.name}_{id(folder)}',
    )


def validations(folder):
    """What stands in the log of each validation."""
    lines = [json.loads(line) for line in next(folder.rglob('scalars.json')).read_text().splitlines()]
    return [line for line in lines if 'pascal_voc/mAP' in line]


def counted(runner):
    """The calls of the teacher's own predictions, as they come."""
    calls, member = [], runner.model.members.frozen['teacher0']
    predict = member.predict
    member.predict = lambda inputs, samples: calls.append(len(samples)) or predict(inputs, samples)
    return calls


@pytest.mark.parametrize('kind', ['retinanet', 'faster_rcnn'])
def test_every_member_is_measured_as_in_a_pass_of_its_own(kind, tmp_path):
    runner = runner_of(shake_of(kind, tmp_path), tmp_path / 'run', measure=MEASURE)
    calls = counted(runner)
    runner.train()
    first, last = validations(tmp_path / 'run')
    assert calls == [1, 2, 2, 2]  # tried before the training, and in the first validation alone
    assert first['teacher/pascal_voc/mAP'] == last['teacher/pascal_voc/mAP']
    assert isinstance(runner.model, Distiller) and type(runner.val_evaluator) is Evaluator
    for member, name in (('teacher0', 'teacher/'), ('proxy0', 'proxy/')):
        hook = next(hook for hook in runner.hooks if isinstance(hook, MemberEvalHook))
        hook.member = member
        found = runner.val_loop.run()
        assert {*found} == {'pascal_voc/mAP', 'pascal_voc/AP05'}
        assert found['pascal_voc/mAP'] == pytest.approx(last[f'{name}pascal_voc/mAP']) and found['pascal_voc/mAP'] > 0
    assert len({last[f'{name}pascal_voc/mAP'] for name in ('', 'teacher/', 'proxy/')}) > 1


def test_by_default_a_frozen_teacher_is_measured_and_nothing_else_changes(tmp_path):
    model = shake_of('retinanet', tmp_path)
    for name, hook in (('a', dict(measure=[])), ('b', {})):
        runner = runner_of(model, tmp_path / name, **hook)
        runner.train()
    for before, after in zip(validations(tmp_path / 'a'), validations(tmp_path / 'b'), strict=True):
        assert {*after} - {*before} == {'teacher/pascal_voc/mAP', 'teacher/pascal_voc/AP05'}
        assert {key for key in before if after[key] != before[key]} <= {'time', 'data_time'}
    states = (torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True)['state_dict'] for name in 'ab')
    for (one, value), (other, same) in zip(*(state.items() for state in states), strict=True):
        assert one == other and torch.equal(value, same)
    # the student's own comes first: it is what `save_best='auto'` goes by
    assert len(list((tmp_path / 'b').glob('best_pascal_voc_mAP_epoch_*.pth'))) == 1
    assert not any('teacher' in name for name in runner.test())  # unless it is asked for


def test_who_cannot_be_measured_is_left_out_or_refused_before_the_training(tmp_path):
    model = shake_of('retinanet', tmp_path, classes=3)
    with pytest.raises(UsageError, match='teacher0 cannot be measured: it knows 3 classes and the student 5: leave it'):
        runner_of(model, tmp_path / 'a', measure=['teacher*']).train()
    with pytest.raises(UsageError, match="'proxy0' is no teacher or proxy: name one of teacher0"):
        runner_of(model, tmp_path / 'b', measure=['proxy0']).train()
    assert not list(tmp_path.rglob('epoch_1.pth'))
    runner_of(model, tmp_path / 'c', epochs=1).train()
    assert not any('teacher' in name for name in validations(tmp_path / 'c')[0])
    assert 'teacher0 is not measured in the validation: it knows 3' in next((tmp_path / 'c').rglob('*.log')).read_text()


def test_a_teacher_that_fails_to_predict_is_told_before_the_training(tmp_path):
    model = shake_of('retinanet', tmp_path)
    model['teachers']['config'].pop('test_cfg')  # trained along with, but never asked for boxes
    with pytest.raises(UsageError, match="teacher0 cannot be measured: 'NoneType' object has no attribute 'get'"):
        runner_of(model, tmp_path / 'a', measure='teacher0').train()
    runner = runner_of(model, tmp_path / 'b', epochs=1)
    runner.train()
    assert runner.epoch == 1 and 'teacher/pascal_voc/mAP' not in validations(tmp_path / 'b')[0]


def test_classifiers_too(shake, tmp_path):
    evaluator = [dict(type='Accuracy'), dict(type='SingleLabelMetric', items=('f1-score',))]
    hooks = [dict(type='shake_mm.MemberEvalHook', measure=['proxy0', 'teacher*']), dict(type='shake_mm.StageHook')]
    found = train(shake, tmp_path, custom_hooks=hooks, val_evaluator=evaluator).val_loop.run()
    assert {'accuracy/top1', 'teacher/top1', 'gap/proxy', 'student/top1'} <= {*found}
    loaded = dict(load_from=str(tmp_path / 'epoch_1.pth'), test_evaluator=evaluator)
    for member, name in (('proxy0', 'proxy'), ('teacher0', 'teacher')):
        assert found[f'{name}/accuracy/top1'] == pytest.approx(found[f'{name}/top1'], abs=1e-4)
        hooks = [dict(type='shake_mm.MemberEvalHook', member=member)]
        alone = Runner.from_cfg(run_config(shake, tmp_path, custom_hooks=hooks, **loaded)).test()
        assert alone['single-label/f1-score'] == pytest.approx(found[f'{name}/single-label/f1-score'])


def test_several_data_sets_have_a_metric_each(tmp_path):
    """mmdet pairs them by place: a metric that is left out, as it writes files, keeps its own."""
    model, metric = shake_of('retinanet', tmp_path), dict(type='mmdet.VOCMetric', iou_thrs=0.05, eval_mode='area')
    runner = runner_of(model, tmp_path / 'run', epochs=1)
    for loop in ('val', 'test'):
        getattr(runner, f'_{loop}_dataloader')['dataset'] = ConcatDataset([ListedScenes(), ListedScenes(2)])
        evaluator = MultiDatasetsEvaluator([dict(metric), dict(metric)], ['one', 'two'])
        setattr(runner, f'_{loop}_evaluator', evaluator)
    runner.train()
    whole = runner.val_loop.run()
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, MemberEvalHook))
    hook._kept['val'].clear()
    runner.val_evaluator.metrics[0].outfile_prefix = str(tmp_path / 'files')
    written = runner.val_loop.run()
    assert written == {key: value for key, value in whole.items() if not key.startswith('teacher/one')}
    assert whole['teacher/two/pascal_voc/mAP'] != whole['teacher/one/pascal_voc/mAP'] > 0
    runner.register_hook(DumpHook(str(tmp_path / 'out.pkl')))
    assert runner.test() == {key: value for key, value in whole.items() if not key.startswith('teacher')}
    assert len(mmengine.load(tmp_path / 'out.pkl')) == COUNT + 2


def test_what_writes_files_is_the_students_alone(tmp_path):
    evaluator = Evaluator([dict(type='mmpretrain.Accuracy'), DumpResults(str(tmp_path / 'student.pkl'))])
    stand_in = MemberEvaluator(evaluator, {'teacher0': 'teacher'}, dict, {})
    assert [type(metric).__name__ for metric in stand_in.copies['teacher0'].metrics] == ['Accuracy']
    assert stand_in.copies['teacher0'].metrics[0].results is not evaluator.metrics[0].results
    assert stand_in.metrics is evaluator.metrics
