"""What is tried out before a run: the images' size, mixed images, and a last batch of a single sample."""

import copy

import pytest
import torch
from mmengine.runner import Runner

from shake_mm.checks import build_runner
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tests.conftest import classifier
from tests.support.runs import run_config


@pytest.fixture
def distillation(trained):
    def make(method='shake_mm.SHAKE', student=None, **model):
        teacher = classifier(8, classes=100)
        teachers = dict(config=teacher, checkpoint=trained(teacher))
        return dict(type=method, student=student or classifier(6, classes=100), teachers=teachers, **model)

    return make


def review(samples, distillation, path, **loader):
    """Images of 16 pixels: the pooled features are a map of a single value for each channel."""
    terms = dict(
        task=dict(of='student'),
        review=dict(
            of=['student.f*', 'student.pool'],
            to=['teacher0.f*.preact', 'teacher0.pool'],
            connector=dict(type='ReviewFusion'),
            loss=dict(type='HCLLoss'),
            warmup=3,
        ),
    )
    cfg = run_config(distillation('shake_mm.Distiller', terms=terms), path, samples=samples)
    cfg.train_dataloader.update(loader)
    return cfg


@pytest.mark.parametrize('augment', ['Mixup', 'CutMix'])
def test_mixed_images_of_another_size_train(augment, distillation, tmp_path):
    student = classifier(6, classes=100)
    student['head']['loss'] = dict(type='CrossEntropyLoss', use_soft=True)
    student['train_cfg'] = dict(augments=dict(type=augment, alpha=1.0))
    runner = build_runner(run_config(distillation(student=student), tmp_path, samples=32), 'train')
    before = copy.deepcopy(runner.model.state_dict())
    runner.train()
    assert any(not torch.equal(value, before[key]) for key, value in runner.model.state_dict().items())


def test_what_fails_at_every_size_is_not_told_of_the_size(distillation, tmp_path, monkeypatch):
    """The first step tells what it is."""

    def fail(self, *args, **kwargs):
        raise RuntimeError('of another kind')

    cfg = run_config(distillation(), tmp_path, samples=32)
    monkeypatch.setattr('shake_mm.tasks.ClassificationTask.loss', fail)
    runner = build_runner(cfg, 'train')
    with pytest.raises(RuntimeError, match='of another kind'):
        runner.train()


def test_a_last_batch_of_one_is_refused_before_the_run(distillation, tmp_path):
    with pytest.raises(UsageError, match=r'one sample.*terms\.review\.connector.*set train_dataloader.drop_last=True'):
        build_runner(review(33, distillation, tmp_path), 'train')
    with pytest.raises(UsageError, match='each batch has one sample.*set train_dataloader.batch_size to 2 or more'):
        build_runner(review(32, distillation, tmp_path, batch_size=1), 'train')


@pytest.mark.parametrize(('samples', 'loader', 'steps'), [(33, dict(drop_last=True), 2), (34, {}, 3)])
def test_other_last_batches_train(samples, loader, steps, distillation, tmp_path):
    runner = build_runner(review(samples, distillation, tmp_path, **loader), 'train')
    runner.train()
    assert runner.iter == steps


def test_a_last_batch_of_one_does_no_harm_without_such_layers(distillation, tmp_path):
    runner = build_runner(run_config(distillation(), tmp_path, samples=33), 'train')
    runner.train()
    assert runner.iter == 3


def test_a_network_of_its_own_is_looked_at_too(tmp_path):
    """torch would end the epoch with 'Expected more than 1 value per channel when training'."""
    student = classifier(6, classes=100)
    student['neck'] = [dict(type='GlobalAveragePooling'), dict(type='LinearNeck', in_channels=6, out_channels=6)]
    cfg = run_config(student, tmp_path, samples=17, custom_hooks=[])
    with pytest.raises(UsageError, match=r'neck.*BatchNorm'):
        build_runner(cfg, 'train')
    cfg.experiment_name, cfg.model = 'plain', student
    with pytest.raises(ValueError, match='more than 1 value'):
        Runner.from_cfg(cfg).train()


def test_the_model_is_left_as_it_was(distillation, tmp_path):
    cfg = review(17, distillation, tmp_path)
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(cfg.model))
    from shake_mm.checks.networks import check_last_batch

    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    batch = model.data_preprocessor(next(iter(loader)), False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(UsageError):
        check_last_batch(model, loader, batch['inputs'], batch['data_samples'], 'train_dataloader')
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(layer.training for layer in model.modules()) and model.terms['review'].factor is None
    assert not any(layer._forward_pre_hooks for layer in model.connectors.modules())
