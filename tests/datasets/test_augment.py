"""AutoAugment and RandAugment of whole batches: what is drawn, against mmpretrain; and runs that draw it."""

from pathlib import Path
from statistics import NormalDist

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from mmengine.runner import Runner

from shake_mm.datasets import BatchedCrops, BatchedViews
from shake_mm.datasets.augment import Augment
from shake_mm.datasets.batched import uniform
from shake_mm.datasets.seeded import Draw
from shake_mm.errors import UsageError
from shake_mm.switches import make_batched, make_exact

from ..loops.test_exact import Watch
from ..support.runs import run_config
from .test_augment_operations import augmented, off

CIFAR = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'augments' / 'autoaugment_cifar.py'
OURS = [*TRANSFORMS.build(dict(type='mmpretrain.AutoAugment', policies='imagenet')).policies[:3], [dict(type='Invert')]]
RANDOM = dict(type='RandAugment', policies='timm_increasing', num_policies=2, magnitude_level=9)
CONFIGS = {
    'imagenet': dict(type='AutoAugment', policies='imagenet', hparams=dict(pad_val=3)),  # which mmpretrain ignores
    'cifar': Config.fromfile(CIFAR).augment[0],
    'of several lengths': dict(type='AutoAugment', policies=[*OURS, [dict(type='Equalize', prob=1.0)] * 3]),
    'normal': dict(RANDOM, magnitude_std=0.5, hparams=dict(pad_val=[104, 116, 124], interpolation='nearest')),
    'uniform': dict(RANDOM, magnitude_std='inf', total_level=12, num_policies=3),
    'fixed': dict(RANDOM, magnitude_std=-1, policies='simple_increasing'),
    'wide': dict(RANDOM, magnitude_std=6),
}


def mmpretrain_s(config):
    return TRANSFORMS.build({**config, 'type': f'mmpretrain.{config["type"]}'})


class Numbers:
    """Stands for numpy's generator: what mmpretrain asks for an image comes from our draws."""

    def __init__(self, draws, picks):
        self.choices, self.steps = draws.reshape(picks, -1)[:, 0], iter(draws.reshape(picks, -1)[:, 1:].reshape(-1, 5))

    def choice(self, indices, size=None, p=None):
        chosen = indices[(self.choices * len(indices)).astype(int)]
        return chosen if size else chosen[0]

    def disable(self, prob):
        self.step = next(self.steps)
        return self.step[0] > prob

    def uniform(self, low, high):
        return low + self.step[1] * (high - low)

    def normal(self, mean, std):
        return NormalDist(mean, std).inv_cdf(self.step[1])

    def rand(self):
        return self.step[2]


@pytest.mark.parametrize('name', CONFIGS)
def test_images_are_mmpretrain_s_for_the_same_numbers(images, monkeypatch, name):
    """The same policies in the same order, as often, as strong, to the same side."""
    config = CONFIGS[name]
    augment, transform = Augment(config), mmpretrain_s(config)
    many = np.tile(images, (8, 1, 1, 1))
    draws = np.random.default_rng(0).random((len(many), augment.draws))
    found = augmented(config, many, draws)
    for image, row, ours in zip(many, draws, found):
        numbers = Numbers(row, augment.picks)
        for key in ('choice', 'uniform', 'normal', 'rand'):
            monkeypatch.setattr(np.random, key, getattr(numbers, key))
        for step in (step for policy in transform.transforms for step in getattr(policy, 'transforms', [policy])):
            step.random_disable = lambda n=numbers, prob=step.prob: n.disable(prob)
        distance = off(ours, transform(dict(img=image.copy()))['img'])
        if int(cv2.__version__.split('.')[0]) >= 5:
            # A value that is off by 1 may be posterized or solarized to another one.
            assert (distance > 1).mean() < 0.02
        else:  # whose places are rounded, see the test of operations
            assert np.median(distance) <= 8 and distance.mean() < 24
    assert (found != many).any((1, 2, 3)).mean() > 0.5


@pytest.mark.parametrize('name', ['normal', 'uniform', 'wide'])
def test_draws_are_distributed_as_mmpretrain_s(name):
    """By numbers of an exact run: how often each operation is done, and the distribution of its signed magnitudes."""
    number, augment, transform = 4000, Augment(CONFIGS[name]), mmpretrain_s(CONFIGS[name])
    keys = np.stack(np.broadcast_arrays(7, 3, np.arange(number)), axis=1).astype(np.uint64)
    which, magnitudes, places = augment.pick(uniform(keys, augment.draws))
    assert places.shape == (*which.shape, 2)
    np.random.seed(0)
    theirs = [[] for _ in augment.operations]
    for _ in range(number):
        for chosen in transform.random_policy_indices():
            step = transform.transforms[chosen]
            if not step.random_disable():
                magnitude = 0 if step.magnitude_range is None else step.random_magnitude()
                theirs[chosen].append(step.random_negative(magnitude))
    for operation, wanted in enumerate(theirs):
        found = magnitudes[which == operation]
        mean = number * augment.picks / len(theirs) / 2
        assert abs(len(found) - mean) < 5 * mean**0.5 and abs(len(wanted) - mean) < 5 * mean**0.5
        values = np.union1d(found, wanted)
        below = [np.searchsorted(np.sort(each), values, 'right') / len(each) for each in (found, wanted)]
        # Kolmogorov and Smirnov, one in a hundred thousand
        assert np.abs(below[0] - below[1]).max() < 2.47 * (1 / len(found) + 1 / len(wanted)) ** 0.5, operation


def test_policies_are_drawn_as_often():
    """Each sub-policy, and each of its operations with its own probability, to either side."""
    number, augment = 50000, Augment(CONFIGS['cifar'])
    keys = np.stack(np.broadcast_arrays(7, np.arange(number), 3), axis=1).astype(np.uint64)
    which, magnitudes, _ = augment.pick(uniform(keys, augment.draws))
    steps = [step for policy in CONFIGS['cifar'].policies for step in policy]
    for operation, step in enumerate(steps):
        mean = number / 25 * step.prob
        assert abs((which == operation).sum() - mean) <= 5 * mean**0.5
        chosen = magnitudes[which == operation]
        if step.type in ('Rotate', 'Shear', 'Translate'):
            assert set(np.abs(chosen)) == {step.get('angle', step.get('magnitude'))}
            assert abs((chosen < 0).mean() - 0.5) < 2.5 * len(chosen) ** -0.5
        else:
            assert (chosen >= min(0, step.get('magnitude', 0))).all()
    # Both operations of a policy: independently of each other.
    both = ((which[:, 0] == 2) & (which[:, 1] == 3)).sum()
    assert abs(both - number / 25 * 0.7 * 0.3) < 5 * both**0.5


def items(number, size=16):
    rng = np.random.default_rng(0)
    return [dict(img=rng.integers(256, size=(size, size, 3), dtype=np.uint8), gt_label=0) for _ in range(number)]


def test_draws_are_of_seed_epoch_and_position_alone():
    dataset = BatchedViews(items(9), device='cpu', padding=1, flip_prob=0.5, cutout=dict(shape=3), augment=RANDOM)
    alone = [dataset.__getitems__([Draw(3, 1, i)])['inputs'][0] for i in range(9)]
    order = [4, 2, 0, 1, 3, 8, 7, 6, 5]
    joint = dataset.__getitems__([Draw(3, 1, i) for i in order])['inputs']
    assert all((joint[place] == alone[i]).all() for place, i in enumerate(order))
    for other in ((3, 2), (4, 1)):
        again = dataset.__getitems__([Draw(*other, i) for i in range(9)])['inputs']
        assert sum((again[i] != alone[i]).any().item() for i in range(9)) >= 8


def test_it_comes_behind_the_view_and_before_the_hole():
    """The views are those of a set without it, and what is kept on the device stays as it was."""
    plain, whole = (
        BatchedViews(items(6), device='cpu', padding=2, flip_prob=0.5, **more)
        for more in ({}, dict(augment=dict(type='AutoAugment', policies=[[dict(type='Invert', prob=1.0)]])))
    )
    asked = [Draw(3, 1, i) for i in range(6)]
    for _ in range(2):
        assert (whole.__getitems__(asked)['inputs'] == 255 - plain.__getitems__(asked)['inputs']).all()
    holes = BatchedCrops(items(6), 16, 'cpu', dict(shape=40, pad_val=7, prob=1.0), augment=RANDOM)
    assert (holes.__getitems__(asked)['inputs'] == 7).flatten(1).any(1).all()


def test_a_stopped_run_draws_on_as_the_whole_one(make_classifier, tmp_path):
    """By the switches of ``tools/train.py``."""

    def start(folder, stop=None, **changes):
        cfg = run_config(
            dict(type='shake_mm.Baseline', student=make_classifier(4, classes=100)), folder, 2, 32, **changes
        )
        crop = dict(type='RandomCrop', crop_size=16, padding=2)
        cfg.train_dataloader.dataset.pipeline = [crop, dict(RANDOM, magnitude_std=0.5), dict(type='PackInputs')]
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=1)
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        make_batched(cfg)
        make_exact(cfg)
        runner, watch = Runner.from_cfg(cfg), Watch(stop)
        runner.register_hook(watch)
        assert cfg.train_dataloader.dataset.dataset.augment.type == 'RandAugment'
        return runner, watch

    runner, whole = start(tmp_path / 'whole')
    runner.train()
    runner, cut = start(tmp_path / 'cut', stop=3)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    runner, rest = start(tmp_path / 'cut', resume=True)
    runner.train()
    assert len(whole.seen) == 4 and cut.seen + rest.seen == whole.seen


def test_what_is_no_augmentation_is_refused():
    with pytest.raises(UsageError, match=r"augment.type='Mixup' must be 'AutoAugment' or 'RandAugment'"):
        BatchedViews(items(1), augment=dict(type='Mixup'))
    gray = [dict(img=np.zeros((8, 8), np.uint8), gt_label=0)]
    with pytest.raises(UsageError, match='RandAugment of BatchedViews needs images of three channels, these have 1'):
        BatchedViews(gray, device='cpu', augment=RANDOM)
