"""The engine under the Runner's features: accumulation, mixed precision, lazy configs, resume."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from shake_mm.registry import MODELS
from tools.train import main as train_main

from ..support.runs import run_config, train
from .gloo_gradients import network


def test_gradient_accumulation_equals_the_joined_batch(trained, batch):
    path = trained(network(0.2))
    inputs, samples = torch.randn(8, 1, 32, 32), batch(8)[1]
    weights = []
    for parts in (1, 2):
        torch.manual_seed(0)
        model = MODELS.build(
            dict(type='shake_mm.SHAKE', student=network(0.2), teachers=dict(config=network(0.2), checkpoint=path))
        )
        model.init_weights()
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=parts)
        wrapper.initialize_count_status(model, 0, parts)
        size = 8 // parts
        for i in range(parts):
            part = slice(i * size, (i + 1) * size)
            model.train_step({'inputs': list(inputs[part]), 'data_samples': samples[part]}, wrapper)
        weights.append(model.state_dict())
    for key, value in weights[0].items():
        torch.testing.assert_close(weights[1][key], value, rtol=1e-4, atol=1e-6)


def test_mixed_precision(shake, batch):
    model = MODELS.build(shake)
    model.init_weights()
    x = batch(classes=100)
    plain = model.train()(*x, mode='loss')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = model(*x, mode='loss')
    assert mixed.keys() == plain.keys()
    for key, value in mixed.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, plain[key], rtol=0.1, atol=0.05)
    sum(mixed.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


LAZY = """

from mmengine.dataset import DefaultSampler
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.optim import OptimWrapper
from mmpretrain.datasets import PackInputs
from mmpretrain.evaluation import Accuracy
from mmpretrain.models import GlobalAveragePooling, ImageClassifier, LinearClsHead
from torch.optim import SGD

from shake_mm.datasets import DigitPairs
from shake_mm.distillers import SHAKE
from shake_mm.hooks import FiniteGuardHook, MemberEvalHook
from shake_mm.models.backbones import CRDResNet


student = dict(
    type=ImageClassifier,
    backbone=dict(type=CRDResNet, depth=8, widths=(6, 6, 6, 6)),
    neck=dict(type=GlobalAveragePooling),
    head=dict(type=LinearClsHead, num_classes=100, in_channels=6),
    data_preprocessor=dict(num_classes=100))
teacher = dict(
    type=ImageClassifier,
    backbone=dict(type=CRDResNet, depth=8, widths=(8, 8, 8, 8)),
    neck=dict(type=GlobalAveragePooling),
    head=dict(type=LinearClsHead, num_classes=100, in_channels=8),
    data_preprocessor=dict(num_classes=100))
model = dict(type=SHAKE, student=student, teachers=dict(config=teacher, checkpoint='CHECKPOINT'))
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type=DefaultSampler, shuffle=True),
    dataset=dict(type=DigitPairs, split='train', num_samples=32, image_size=16, pipeline=[dict(type=PackInputs)]))
val_dataloader = dict(train_dataloader, sampler=dict(type=DefaultSampler, shuffle=False))
val_evaluator = dict(type=Accuracy)
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.01))
custom_hooks = [dict(type=MemberEvalHook), dict(type=FiniteGuardHook), dict(type=EMAHook)]
default_scope = 'mmpretrain'
"""


def test_a_lazy_config_trains(make_classifier, trained, tmp_path):
    checkpoint = trained(make_classifier(8, classes=100))
    path = tmp_path / 'lazy.py'
    path.write_text(LAZY.replace('CHECKPOINT', checkpoint))
    assert train_main([str(path), '--work-dir', str(tmp_path / 'run')]) == 0
    state = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=True)['state_dict']
    assert {key.split('.')[0] for key in state} == {'student', 'proxies'}


def test_a_config_of_read_base_trains_tests_and_exports(make_classifier, trained, tmp_path):
    """The written config is a plain one: types by their names, none of what the file imported."""
    from tools.export_student import main as export_main
    from tools.test import main as test_main

    checkpoint = trained(make_classifier(8, classes=100))
    (tmp_path / 'lazy.py').write_text(LAZY.replace('CHECKPOINT', checkpoint))
    child = tmp_path / 'child.py'
    child.write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .lazy import *\n'
        'from mmengine.dataset import RepeatDataset\n'
        "twice = dict(type=RepeatDataset, times=2, dataset=train_dataloader['dataset'])\n"
        'train_dataloader = dict(train_dataloader, dataset=twice)\n'
        'test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict()\n'
    )
    run = tmp_path / 'run'
    for name, options in (('plain', []), ('cached', ['--exact', '--cache-teachers', str(tmp_path / 'cache')])):
        assert train_main([str(child), '--work-dir', str(run / name), *options]) == 0
    weights = str(run / 'plain' / 'epoch_1.pth')
    assert test_main([str(child), weights, '--work-dir', str(run / 'test')]) == 0
    assert export_main([str(child), weights, str(tmp_path / 'out.pth')]) == 0
    exported = Config.fromfile(tmp_path / 'out.py')
    assert exported.model.type == 'mmpretrain.models.classifiers.image.ImageClassifier'
    assert 'read_base' not in exported and 'custom_hooks' in exported and 'SHAKE' not in exported.pretty_text
    [published] = tmp_path.glob('out_*.pth')
    assert test_main([str(tmp_path / 'out.py'), str(published), '--work-dir', str(run / 'plain-test')]) == 0


FIVE_LINES = """
_base_ = ['my_student.py', 'shake_mm::_base_/distill.py']
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=dict(config='{folder}/my_teacher.py', checkpoint='{checkpoint}'))
"""


def test_five_lines_from_a_users_configs(make_classifier, trained, tmp_path):
    """As the README has it; the run starts from a plain checkpoint of the student, is resumed, and is tested."""
    from tools.test import main as test_main

    student, teacher = make_classifier(6, classes=100), make_classifier(8, classes=100)
    for name, model in (('my_student', student), ('my_teacher', teacher)):
        config = run_config(model, tmp_path, epochs=2)
        for key in ('custom_hooks', 'work_dir', 'experiment_name'):
            config.pop(key)
        config.dump(tmp_path / f'{name}.py')
    (tmp_path / 'shake.py').write_text(FIVE_LINES.format(folder=tmp_path, checkpoint=trained(teacher)))
    start = trained(student, 'student.pth', seed=4)
    run = tmp_path / 'run'
    options = ['--work-dir', str(run), '--cfg-options', f'load_from={start}', 'train_cfg.max_epochs=1']
    assert train_main([str(tmp_path / 'shake.py'), *options]) == 0
    first = torch.load(run / 'epoch_1.pth', weights_only=True)
    assert train_main([str(tmp_path / 'shake.py'), '--work-dir', str(run), '--resume']) == 0
    second = torch.load(run / 'epoch_2.pth', weights_only=True)
    assert second['meta']['epoch'] == 2 and second['meta']['iter'] == 2 * first['meta']['iter']
    assert test_main([str(tmp_path / 'shake.py'), str(run / 'epoch_2.pth'), '--work-dir', str(run)]) == 0


def test_a_stopped_and_resumed_run_equals_the_uninterrupted_one(shake, tmp_path):
    """At an epoch's end, with the deterministic data of this set."""
    from mmengine.runner import Runner

    whole = train(shake, tmp_path / 'whole', epochs=2).model.state_dict()
    train(shake, tmp_path / 'half', epochs=1)
    resumed = Runner.from_cfg(
        run_config(shake, tmp_path / 'half', epochs=2, resume=True, load_from=str(tmp_path / 'half' / 'epoch_1.pth'))
    )
    resumed.train()
    for key, value in resumed.model.state_dict().items():
        torch.testing.assert_close(value, whole[key], rtol=0, atol=0, msg=key)


def test_an_empty_data_set_is_an_error(shake, tmp_path, capsys):
    config = run_config(shake, tmp_path, samples=0)
    config.dump(tmp_path / 'config.py')
    assert train_main([str(tmp_path / 'config.py')]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error')]
    assert 'num_samples' in line


@pytest.mark.parametrize(
    'option, words',
    [
        ('model.teachers.checkpoint=/no/such.pth', 'does not exist'),
        ('model.tau=0', 'temperature'),
        ('model.lam=-1', '>= 0'),
        ('model.type=shake_mm.SHAK', 'did you mean'),
        ('model.student.head.num_classes=7', 'classes'),
        ('model.proxies.type=NoHead', 'not in the'),
        ('model.stages.nope=1', 'stages'),
        ('model.tow=2', "unexpected keyword argument 'tow'"),
    ],
)
def test_bad_options_are_one_sentence(shake, tmp_path, capsys, option, words):
    run_config({**shake, 'proxies': dict(type='ShadowHead')}, tmp_path).dump(tmp_path / 'config.py')
    assert train_main([str(tmp_path / 'config.py'), '--cfg-options', option]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error')]
    assert len(lines) == 1 and words in lines[0]
    assert not list(tmp_path.glob('epoch_*.pth'))


def test_a_nan_loss_exits_non_zero(shake, tmp_path, capsys):
    run_config(shake, tmp_path).dump(tmp_path / 'config.py')
    options = ['optim_wrapper.optimizer.lr=1e30', 'train_cfg.max_epochs=3']
    assert train_main([str(tmp_path / 'config.py'), '--cfg-options', *options]) == 1
    assert 'NaN or Inf' in capsys.readouterr().err


def test_config_is_not_changed_by_building(shake):
    config = Config(dict(model=shake))
    before = config.pretty_text
    MODELS.build(config.model)
    assert config.pretty_text == before


@pytest.mark.parametrize('how', ['resume', 'load_from', 'test'])
@pytest.mark.parametrize('damage, words', [('truncated', 'truncated'), ('other', 'another network')])
def test_checkpoints_that_cannot_be_used(shake, make_classifier, trained, tmp_path, capsys, how, damage, words):
    from tools.test import main as test_main

    run_config(shake, tmp_path / 'run').dump(tmp_path / 'config.py')
    path = trained(make_classifier(10, classes=100), 'bad.pth')
    if damage == 'truncated':
        with open(path, 'rb+') as file:
            file.truncate(3000)
    config = str(tmp_path / 'config.py')
    if how == 'resume':
        status = train_main([config, '--resume', path])
    elif how == 'load_from':
        status = train_main([config, '--cfg-options', f'load_from={path}'])
    else:
        status = test_main([config, path])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error')]
    assert status == 1 and words in line
    assert not list((tmp_path / 'run').glob('*.pth'))
