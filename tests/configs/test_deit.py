"""DeiT: ImageNet's recipe, and a whole run on digits: trained, resumed, exported with both heads and with one."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.structures import DataSample

from analysis.describe import build
from shake_mm.export import export_student
from shake_mm.registry import MODELS
from tools.export_student import main as export_main
from tools.train import main as train_main

from ..support import libraries
from .cells import CONFIGS, rates, shortened

IN1K, DIGITS = 'regnety-16gf_deit-tiny_8xb128_in1k', 'resnet14_deit_digits'


@pytest.mark.parametrize('method', ['kd/kd-deit', 'shake/shake'])
def test_imagenet_steps_by_deits_recipe(method, monkeypatch):
    libraries.stand_in_for_timm(monkeypatch)
    cfg = Config.fromfile(CONFIGS / f'{method}_{IN1K}.py')
    cfg.model.student.config.backbone.arch = dict(embed_dims=192, num_layers=1, num_heads=3, feedforward_channels=768)
    model = build(cfg, 32).train()
    assert model.members.frozen['teacher0'].view.identity  # both normalize alike
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    decayed = {id(p): group['weight_decay'] for group in wrapper.optimizer.param_groups for p in group['params']}
    names = [name for name, parameter in model.named_parameters() if decayed[id(parameter)] == 0.05]
    assert names and all(name.endswith('.weight') and 'ln' not in name for name in names)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    images = torch.randint(256, (4, 3, 224, 224), dtype=torch.uint8)
    batch = {'inputs': images, 'data_samples': [DataSample().set_gt_label(i) for i in range(4)]}
    model.train_step(batch, wrapper)
    # Both heads begin with zeros, so that the first step stops at them.
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    layers = ('head', 'head_dist')
    assert {f'student.head.layers.{layer}.{kind}' for layer in layers for kind in ('weight', 'bias')} <= moved


@pytest.mark.parametrize('method', ['kd-soft', 'kd-hard'])
def test_without_a_token(method, monkeypatch):
    libraries.stand_in_for_timm(monkeypatch)
    cfg = Config.fromfile(CONFIGS / f'kd/{method}_regnety-16gf_deit-tiny-wo-token_8xb128_in1k.py')
    with_token = Config.fromfile(CONFIGS / f'kd/kd-deit_{IN1K}.py')
    for key in ('train_cfg', 'param_scheduler', 'auto_scale_lr', 'train_dataloader', 'val_dataloader'):
        assert cfg[key] == with_token[key], key
    cfg.model.student.backbone.arch = dict(embed_dims=192, num_layers=1, num_heads=3, feedforward_channels=768)
    model = build(cfg, 32).train()
    with torch.no_grad():
        model.student.head.layers.head.weight.normal_(std=0.1)
    images = torch.randn(4, 3, 224, 224)
    scores = torch.rand(4, 1000)
    samples = [DataSample().set_gt_label(i).set_gt_score(score) for i, score in enumerate(scores)]
    model.student.eval()  # drop path draws anew in each pass
    losses = model(images, samples, mode='loss')
    s, t = model.student(images), model.members.frozen['teacher0'].network(images)
    if method == 'kd-soft':
        p = (t / 3).softmax(1)
        wanted = 0.1 * 9 * (p * (p.log() - (s / 3).log_softmax(1))).sum(1).mean()
    else:
        wanted = 0.5 * -s.log_softmax(1)[range(4), t.argmax(1)].mean()
    assert model.terms['task'].weight == (0.9 if method == 'kd-soft' else 0.5)
    torch.testing.assert_close(losses['loss_student_from_teacher'], wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('method', ['kd/kd-deit', 'shake/shake-one-head'])
def test_one_token_learns_from_two_teachers(method):
    """The mean of what it would learn from each; the class head hears of the teachers by the token alone."""
    cfg = Config.fromfile(CONFIGS / f'{method}_2xresnet14_deit_digits.py')
    assert len({teacher.checkpoint for teacher in cfg.model.teachers}) == 2
    model = build(cfg, 32).train()
    torch.manual_seed(1)
    for teacher in model.members.frozen.values():  # of their own
        teacher.network.head.fc.weight.data.normal_(std=0.3)
    for layer in (model.student.head.layers.head, model.student.head.layers.head_dist):
        layer.weight.data.normal_(std=0.1)
    images, samples = torch.randn(4, 3, 32, 32), [DataSample().set_gt_label(i) for i in range(4)]
    model.student.eval()
    losses = model(images, samples, mode='loss')
    token = model.student.head.layers.head_dist(model.student.backbone(images)[-1][1])
    taught = [teacher.network(images) for teacher in model.members.frozen.values()]
    assert not torch.equal(*(t.argmax(1) for t in taught))
    if 'kd' in method:
        found = [losses[f'loss_student_from_teacher{i}'] for i in (0, 1)]
        wanted = [0.25 * -token.log_softmax(1)[range(4), t.argmax(1)].mean() for t in taught]
    else:
        found = [losses[f'loss_proxy_from_teacher{i}'] for i in (0, 1)]
        term, tau = model.terms['proxy_from_teacher0'], model.terms['proxy_from_teacher0'].loss.tau
        pairs = [((t / tau).softmax(1), (token / tau).log_softmax(1)) for t in taught]
        wanted = [term.weight * tau**2 * (p * (p.log() - q)).sum(1).mean() for p, q in pairs]
        assert term.weight == model.terms['proxy_from_teacher1'].weight and len(model.proxies) == 1
        assert {'loss_student_from_proxy', 'loss_proxy_from_student'} <= losses.keys()
    torch.testing.assert_close(torch.stack(found), torch.stack(wanted), rtol=1e-4, atol=1e-6)
    sum(found).backward()
    moved = {name for name, p in model.student.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any('head_dist' in name for name in moved) and 'backbone.dist_token' in moved
    assert not any(name.startswith('head.layers.head.') for name in moved)


def test_imagenet_schedule():
    cfg = Config.fromfile(CONFIGS / f'shake/shake_{IN1K}.py')
    assert (cfg.train_cfg.max_epochs, cfg.auto_scale_lr.base_batch_size) == (300, 8 * cfg.train_dataloader.batch_size)
    assert cfg.train_dataloader.sampler.type == 'RepeatAugSampler' and cfg.optim_wrapper.clip_grad is None
    assert cfg.model.student.config.backbone.drop_path_rate == 0.1
    assert [augment.type for augment in cfg.model.student.config.train_cfg.augments] == ['Mixup', 'CutMix']
    for scheduler in cfg.param_scheduler:
        scheduler.pop('convert_to_iter_based', None)
        scheduler.setdefault('end', 300)  # as the Runner does
    cfg.optim_wrapper.pop('paramwise_cfg')
    lrs = rates(cfg, 300)
    assert lrs[0] == pytest.approx(1e-6) and lrs[4] == max(lrs) == pytest.approx(1e-3)
    assert lrs[299] == pytest.approx(1e-5, rel=0.02)


def test_digits_train_resume_and_export(tmp_path):
    config = tmp_path / 'config.py'
    for epochs in (1, 2):
        cfg = shortened(Config.fromfile(CONFIGS / f'shake/shake_{DIGITS}.py'), tmp_path, epochs)
        cfg.dump(config)
        assert train_main([str(config), '--debug', *(['--resume'] if epochs > 1 else [])]) == 0
    first, last = (torch.load(tmp_path / f'run/epoch_{epoch}.pth', weights_only=True) for epoch in (1, 2))
    assert last['meta']['epoch'] == 2 and {key.partition('.')[0] for key in last['state_dict']} == {'student'}
    for key in ('backbone.dist_token', 'head.layers.head_dist.weight', 'head.layers.head.weight'):
        assert not torch.equal(first['state_dict'][f'student.{key}'], last['state_dict'][f'student.{key}'])

    weights, plain = export_student(str(config), str(tmp_path / 'run/epoch_2.pth'), str(tmp_path / 'both'))
    text = plain.read_text()
    assert not [word for word in ('SHAKE', 'Shadow', 'teacher', 'taps', 'StageHook') if word in text]
    arguments = [str(config), str(tmp_path / 'run/epoch_2.pth'), str(tmp_path / 'class.pth'), '--class-head-only']
    assert export_main(arguments) == 0
    (alone,) = tmp_path.glob('class_*.pth')
    both, one = (MODELS.build(Config.fromfile(plain).model).eval() for _ in range(2))
    both.load_state_dict(torch.load(weights, weights_only=True)['state_dict'], strict=True)
    one.load_state_dict(torch.load(alone, weights_only=True)['state_dict'], strict=True)
    inputs = torch.randn(3, 3, 32, 32)
    class_token, token = both.backbone(inputs)[-1]
    class_head, token_head = both.head.layers.head(class_token), both.head.layers.head_dist(token)
    assert torch.equal(both(inputs, mode='tensor'), (class_head + token_head) / 2)
    assert torch.equal(one(inputs, mode='tensor'), class_head)
    assert not torch.equal(class_head, token_head)
