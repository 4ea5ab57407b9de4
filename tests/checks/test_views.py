"""Runs whose pipelines normalize: teachers see what they were trained on, or the run is refused."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor

from shake_mm.checks import build_runner
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from ..support.runs import run_config

NORM = dict(mean=[78.0, 70.0, 60.0], std=[83.0, 50.0, 40.0])
STEP = dict(type='Normalize', to_rgb=False, **NORM)


def kd(make_classifier, teacher):
    """KD of a student without a preprocessor of its own: it gets the run's."""
    student = make_classifier(6, classes=100)
    del student['data_preprocessor']
    return dict(type='shake_mm.KD', student=student, teachers=teacher)


def config(model, tmp_path, steps=(), preprocessor=None, **changes):
    cfg = run_config(model, tmp_path, **changes)
    cfg.data_preprocessor = dict(type='ClsDataPreprocessor', num_classes=100, **(preprocessor or {}))
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].dataset.pipeline = [*steps, dict(type='PackInputs')]
    return cfg


def runs_teacher(cfg):
    """The teacher's logits for the first validation pictures, as the run that is built shows them to it."""
    runner = build_runner(cfg, 'train')
    batch = next(iter(runner.val_loop.dataloader))
    inputs = runner.model.data_preprocessor(batch, False)['inputs']
    with torch.no_grad():
        return runner.model.members.frozen['teacher0'](inputs)


@pytest.fixture
def teacher(make_classifier, trained, tmp_path):
    """A teacher as a file: what its own run states, and the logits of that network for normalized pictures."""
    network = make_classifier(8, classes=100, **NORM)
    checkpoint = trained(network)

    def write(steps, preprocessor, loader=True):
        model = copy.deepcopy(network)
        del model['data_preprocessor']
        content = dict(default_scope='mmpretrain', model=model)
        if preprocessor is not None:
            content['data_preprocessor'] = dict(type='ClsDataPreprocessor', **preprocessor)
        if loader:
            dataset = dict(type='shake_mm.DigitPairs', pipeline=[*steps, dict(type='PackInputs')])
            content['train_dataloader'] = dict(batch_size=4, dataset=dataset)
        path = tmp_path / 'teacher.py'
        Config(content).dump(str(path))
        return dict(config=str(path), checkpoint=checkpoint)

    return write


@pytest.mark.parametrize('theirs', ['pipeline', 'preprocessor'])
@pytest.mark.parametrize('ours', ['pipeline', 'preprocessor'])
def test_whichever_normalizes_the_teacher_answers_alike(make_classifier, teacher, tmp_path, ours, theirs):
    def parts(where):
        return ([STEP], {}) if where == 'pipeline' else ([], NORM)

    wanted = runs_teacher(config(kd(make_classifier, teacher([], NORM)), tmp_path, [], NORM))
    got = runs_teacher(config(kd(make_classifier, teacher(*parts(theirs))), tmp_path, *parts(ours)))
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)


def test_the_file_of_an_older_package_needs_no_preprocessor(make_classifier, teacher, tmp_path):
    wanted = runs_teacher(config(kd(make_classifier, teacher([], NORM)), tmp_path, [], NORM))
    got = runs_teacher(config(kd(make_classifier, teacher([STEP], None)), tmp_path, [], NORM))
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)


def test_normalizing_twice_is_refused(make_classifier, teacher, tmp_path):
    cfg = config(kd(make_classifier, teacher([], NORM)), tmp_path, [STEP], NORM)
    with pytest.raises(UsageError, match='train_dataloader.dataset: .* normalized twice: leave out one'):
        build_runner(cfg, 'train')


def test_loaders_that_normalize_differently_are_refused(make_classifier, teacher, tmp_path):
    cfg = config(kd(make_classifier, teacher([], NORM)), tmp_path, [STEP])
    cfg.val_dataloader.dataset.pipeline = [dict(type='PackInputs')]
    with pytest.raises(UsageError, match='val_dataloader.dataset: .* otherwise than that of train_dataloader'):
        build_runner(cfg, 'train')


class TestInline:
    """A teacher whose config does not say how its pictures were normalized."""

    def entry(self, make_classifier, trained, stated=None):
        network = make_classifier(8, classes=100, **(stated or {}))
        checkpoint = trained(network)
        if stated is None:
            del network['data_preprocessor']
        return dict(config=network, checkpoint=checkpoint)

    def test_is_refused_where_the_students_are_normalized(self, make_classifier, trained, tmp_path):
        cfg = config(kd(make_classifier, self.entry(make_classifier, trained)), tmp_path, [], NORM)
        with pytest.raises(UsageError, match='teacher0: its config states no `data_preprocessor`.*add data_preproc'):
            build_runner(cfg, 'train')

    def test_a_file_with_a_model_alone_is_refused_likewise(self, make_classifier, teacher, tmp_path):
        with pytest.raises(UsageError, match='teacher0: its config states no `data_preprocessor`'):
            build_runner(config(kd(make_classifier, teacher([], None, loader=False)), tmp_path, [], NORM), 'train')

    def test_passes_where_the_pipeline_normalizes_for_both(self, make_classifier, trained, tmp_path):
        stated = runs_teacher(
            config(kd(make_classifier, self.entry(make_classifier, trained, NORM)), tmp_path, [], NORM)
        )
        for entry in (self.entry(make_classifier, trained), self.entry(make_classifier, trained, {})):
            got = runs_teacher(config(kd(make_classifier, entry), tmp_path, [STEP]))
            torch.testing.assert_close(got, stated, rtol=1e-3, atol=1e-3)

    def test_a_peer_that_begins_here_sees_what_the_student_sees(self, make_classifier):
        peer = make_classifier(8)
        del peer['data_preprocessor']
        model = MODELS.build(
            dict(type='shake_mm.DML', student=make_classifier(6, **NORM), teachers=dict(config=peer, trainable=True))
        )
        inputs = torch.randn(2, 3, 8, 8)
        assert model.members.view('teacher0', inputs, None) is inputs


@MODELS.register_module()
class Halving(BaseDataPreprocessor):
    """A preprocessor of a user's own."""

    def __init__(self, batch_augments=None):
        super().__init__()

    def forward(self, data, training=False):
        """Halve the values."""
        data = self.cast_data(data)
        return {**data, 'inputs': data['inputs'].float() / 2}


def test_a_preprocessor_of_another_kind_is_not_taken_for_the_identity(make_classifier, trained):
    student, teacher = make_classifier(6, **NORM), make_classifier(8)
    checkpoint = trained(teacher)
    teacher['data_preprocessor'] = dict(type='shake_mm.Halving')
    entry = dict(config=teacher, checkpoint=checkpoint)
    with pytest.raises(UsageError, match='teacher0: how a Halving normalizes images is not known'):
        MODELS.build(dict(type='shake_mm.KD', student=student, teachers=entry))
    student['data_preprocessor'] = dict(type='shake_mm.Halving')
    model = MODELS.build(dict(type='shake_mm.KD', student=student, teachers=entry))
    inputs = torch.randn(2, 3, 8, 8)
    assert model.members.frozen['teacher0'].view(inputs) is inputs
