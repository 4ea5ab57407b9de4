"""Augmentations: what their base files hold, that all members see one view, and that every cell trains."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import TRANSFORMS
from mmengine.runner import Runner

from shake_mm.hooks import DropBlockHook
from shake_mm.registry import MODELS

from .cells import CONFIGS, shortened

PAIR = 'resnet14_resnet8_digits100'
NAMES = [f'shake-{name}' for name in ('cutout', 'autoaugment', 'dropblock', 'alpha-div', 'mixup', 'cutmix')]
NAMES += ['kd-mixup', 'kd-cutmix']
RUN = ('shake-dropblock', 'shake-cutmix')
LARGE = [
    (f'shake-{name}', f'{pair}_cifar100')
    for name in ('cutout', 'autoaugment', 'dropblock', 'alpha-div')
    for pair in ('resnet110_resnet32', 'wrn-40-2_wrn-16-2')
]
SIGNED = ('Shear', 'Translate', 'Rotate')


def cell(name, pair=PAIR):
    return Config.fromfile(CONFIGS / name.split('-')[0] / f'{name}_{pair}.py')


def augment(file):
    return Config.fromfile(CONFIGS / '_base_' / 'augments' / f'{file}.py').augment[0]


def policies():
    """Transcribed from the paper's Table 7 by hand, in mmpretrain's terms: a part of them."""
    return {
        0: [dict(type='Invert', prob=0.1), dict(type='Contrast', prob=0.2, magnitude=0.18)],
        1: [dict(type='Rotate', prob=0.7, angle=6), dict(type='Translate', prob=0.3, magnitude=9 / 32)],
        3: [dict(type='Shear', prob=0.5, magnitude=0.24), dict(type='Translate', prob=0.7, magnitude=9 / 32)],
        5: [dict(type='Shear', prob=0.2, magnitude=0.21), dict(type='Posterize', prob=0.3, bits=6)],
        6: [dict(type='ColorTransform', prob=0.4, magnitude=-0.36), dict(type='Brightness', prob=0.6, magnitude=0.36)],
        7: [dict(type='Sharpness', prob=0.3, magnitude=0.72), dict(type='Brightness', prob=0.7, magnitude=0.72)],
        14: [dict(type='Solarize', prob=0.5, thr=205), dict(type='Invert', prob=0.0)],
        19: [dict(type='Brightness', prob=0.1, magnitude=-0.36), dict(type='ColorTransform', prob=0.7, magnitude=-0.9)],
        20: [dict(type='Solarize', prob=0.4, thr=128), dict(type='AutoContrast', prob=0.9)],
        24: [dict(type='Translate', prob=0.7, magnitude=9 / 32), dict(type='AutoContrast', prob=0.9)],
    }


def test_the_policy_is_the_papers():
    found = augment('autoaugment_cifar').policies
    assert len(found) == 25 and all(len(pair) == 2 for pair in found)
    for place, pair in policies().items():
        for step, expected in zip(found[place], pair, strict=True):
            assert {key: step[key] for key in expected} == pytest.approx(expected), place
    directions = {step.direction for pair in found for step in pair if step.type == 'Translate'}
    assert directions == {'horizontal', 'vertical'} and found[3][0].direction == found[3][1].direction == 'vertical'
    for step in (step for pair in found for step in pair):
        transform = TRANSFORMS.build(dict(step, type=f'mmpretrain.{step.type}'))
        if step.type in SIGNED:
            assert transform.random_negative_prob == 0.5 and transform.pad_val == (129, 124, 112)
            assert transform.interpolation == 'nearest'
        elif 'magnitude' in step:
            assert transform.random_negative_prob == 0


@pytest.mark.parametrize(('file', 'mean', 'size'), [('cifar', (129, 124, 112), 32), ('digits', (60, 60, 60), 16)])
def test_every_operation_of_the_policy_runs(file, mean, size):
    """On uint8 images, and what moves in is the mean; level 5 sharpens by the factor 1."""
    image = np.random.default_rng(0).integers(20, 230, (size, size, 3), dtype=np.uint8)
    for step in (step for pair in augment(f'autoaugment_{file}').policies for step in pair):
        transform = TRANSFORMS.build(dict(step, type=f'mmpretrain.{step.type}', prob=1.0))
        out = transform(dict(img=image.copy()))['img']
        assert out.dtype == np.uint8 and out.shape == image.shape, step
        if (step.type, size) != ('Equalize', 16):
            assert (out == image).all() == (step.get('magnitude') == 0), step
        if step.type == 'Translate':
            filled = (out == mean).all(axis=(2, 0 if step.direction == 'horizontal' else 1))
            assert filled.sum() in (int(step.magnitude * size), round(step.magnitude * size + 0.1)), step


@pytest.mark.parametrize(('file', 'size', 'hole'), [('cutout', 32, 8), ('cutout_digits', 16, 4)])
def test_cutout_is_zero_once_normalized(file, size, hole):
    """One hole, of the whole size where it lies inside."""
    data = cell('shake-cutout', *([] if file.endswith('digits') else ['wrn-40-2_wrn-16-2_cifar100'])).data_preprocessor
    transform = TRANSFORMS.build(dict(augment(file), type='mmpretrain.Cutout'))
    np.random.seed(0)
    areas = []
    for _ in range(50):
        out = transform(dict(img=np.full((size, size, 3), 255, np.uint8)))['img']
        inside = (out != 255).all(axis=2)
        values = (out[inside] - np.array(data.mean)) / np.array(data.std)
        assert np.abs(values).max() < 0.01
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        assert inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        areas.append(inside.sum())
    assert max(areas) == hole**2 and min(areas) < hole**2


def watch(model):
    """Record what the student's and the teacher's backbones receive, and what the shadow head gets."""
    seen = {'student': [], 'teacher': []}
    networks = {'student': model.student, 'teacher': model.members.networks['teacher0']}
    for name, network in networks.items():
        network.backbone.register_forward_pre_hook(
            lambda module, args, name=name: seen[name].append(args[0].clone()) if model.training else None
        )
    return seen


def check_views(seen, steps):
    assert len(seen['student']) == len(seen['teacher']) == steps
    assert all(torch.equal(*views) for views in zip(*seen.values()))


@pytest.mark.parametrize('name', [name for name in NAMES if name not in RUN])
def test_all_members_of_a_cell_see_one_view_in_a_step(name, tmp_path):
    cfg = shortened(cell(name), tmp_path, epochs=1)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).train()
    model.init_weights()
    seen = watch(model)
    before = model.student.head.fc.weight.clone()
    losses = model.train_step(
        next(iter(Runner.build_dataloader(cfg.train_dataloader))), build_optim_wrapper(model, cfg.optim_wrapper)
    )
    check_views(seen, 1)
    assert all(torch.isfinite(value) for value in losses.values())
    assert not torch.equal(before, model.student.head.fc.weight)


@pytest.mark.parametrize('name', RUN)
def test_a_cell_trains_and_all_members_see_one_view(name, tmp_path):
    runner = Runner.from_cfg(shortened(cell(name), tmp_path, epochs=1))
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    seen = watch(runner.model)
    runner.train()
    check_views(seen, 2)
    after = runner.model.state_dict()
    assert after.keys() == before.keys() and all(torch.isfinite(value).all() for value in after.values())
    assert not torch.equal(before['student.head.fc.weight'], after['student.head.fc.weight'])
    assert any(isinstance(hook, DropBlockHook) for hook in runner.hooks) == name.endswith('dropblock')


@pytest.mark.parametrize(('name', 'pair'), LARGE)
def test_cells_on_cifar_differ_in_the_pair_alone(name, pair):
    """From those above, but for the settings of larger images."""
    folder = CONFIGS / 'shake'
    text, small = ((folder / f'{name}_{place}.py').read_text() for place in (pair, PAIR))
    large = small.replace('_digits.py', '.py').replace('autoaugment.py', 'autoaugment_cifar.py')
    assert text.replace(pair, PAIR) == large
    cfg = Config.fromfile(folder / f'{name}_{pair}.py')
    added = [step.type for step in cfg.train_dataloader.dataset.pipeline[2:-1]]
    assert added == {'shake-cutout': ['Cutout'], 'shake-autoaugment': ['AutoAugment']}.get(name, [])
    assert cfg.train_dataloader.dataset.pipeline[-1].type == 'PackInputs'
    assert [step.type for step in cfg.val_dataloader.dataset.pipeline] == ['PackInputs']
    assert (cfg.custom_hooks[-1].type == 'shake_mm.DropBlockHook') == (name == 'shake-dropblock')
    assert cfg.custom_hooks[-1].get('block_size', 7) == 7
    assert cfg.model.get('divergence') == (dict(type='AlphaDivLoss') if name == 'shake-alpha-div' else None)


def mixed(name, inputs, labels):
    """What Mixup and CutMix make of a batch, drawn as mmpretrain draws and written out pixel by pixel."""
    np.random.choice(1, p=None)  # which of one augmentation
    lam, order = np.random.beta(1.0, 1.0), torch.randperm(len(inputs))
    out, (height, width) = inputs.clone(), inputs.shape[2:]
    if name.endswith('mixup'):
        for i, j in enumerate(order):
            out[i] = lam * inputs[i] + (1 - lam) * inputs[j]
    else:
        cut = [int(side * np.sqrt(1 - lam)) for side in (height, width)]
        middle = [np.random.randint(side) for side in (height, width)]
        inside = [
            [m - c // 2 <= place < m + c // 2 for place in range(side)]
            for m, c, side in zip(middle, cut, (height, width))
        ]
        box = torch.tensor(inside[0])[:, None] & torch.tensor(inside[1])[None]
        lam = 1 - box.double().mean().item()
        for i, j in enumerate(order):
            out[i] = torch.where(box, inputs[j], inputs[i])
    scores = torch.zeros(len(inputs), 100, dtype=torch.float64)
    for i, j in enumerate(order):
        scores[i, labels[i]] += lam
        scores[i, labels[j]] += 1 - lam
    assert 0.02 < lam < 0.98
    return out, scores


@pytest.mark.parametrize('name', ['shake-mixup', 'shake-cutmix', 'kd-mixup', 'kd-cutmix'])
def test_mixed_losses_equal_the_formula(name, tmp_path):
    cfg = shortened(cell(name), tmp_path, epochs=1)
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).train()
    model.init_weights()
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    batch = next(iter(loader))
    images = batch['inputs'].double()
    images = (images - 60.0) / 77.6
    labels = [sample.gt_label.item() for sample in batch['data_samples']]

    def seed():
        np.random.seed(5)
        torch.manual_seed(5)

    seed()
    view, scores = mixed(name, images, labels)
    seed()
    data = model.data_preprocessor(batch, training=True)
    torch.testing.assert_close(data['inputs'].double(), view, rtol=1e-5, atol=1e-5)
    got = model.double()(view, data['data_samples'], mode='loss')
    logits = model.student(view)
    with torch.no_grad():
        teacher = model.members.networks['teacher0'](view)
    expected = {'student.loss': -(scores * logits.log_softmax(1)).sum(1).mean()}

    def kl(learner, target):
        p, q = (target.detach() / 4).softmax(1), (learner / 4).log_softmax(1)
        return 16 * (p * (p.log() - q)).sum(1).mean()

    if name.startswith('kd'):
        expected['loss_student_from_teacher'] = kl(logits, teacher)
    else:
        proxy = model.proxies['proxy0'](model.student.extract_feat(view))
        expected['loss_student_from_proxy'] = kl(logits, proxy)
        expected['loss_proxy_from_teacher'] = kl(proxy, teacher)
        expected['loss_proxy_from_student'] = kl(proxy, logits)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value, rtol=1e-5, atol=1e-6, msg=key)
    parameters = [p for p in model.parameters() if p.requires_grad]
    grads = torch.autograd.grad(sum(expected.values()), parameters)
    for found, wanted in zip(torch.autograd.grad(sum(got.values()), parameters), grads, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
