"""Teachers that serve several real runs: bits of live ones, one pass a step, and what ends the others does not hang."""

import signal

import pytest

from tests.support.kills import assert_same, final
from tests.support.runs import run_config
from tests.support.together import train_together

STEPS = 8  # two epochs of 64 images in batches of 16


@pytest.fixture
def config(shake, tmp_path):
    """Write the config of a method on the two-digit images, without validation; return its path."""

    def config(name, model=None, seed=0, **train_cfg):
        changes = dict(model or {})
        cfg = run_config({**shake, **changes}, tmp_path / name, epochs=2, randomness=dict(seed=seed))
        cfg.train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=9, **train_cfg)
        cfg.custom_hooks = [dict(type='shake_mm.StageHook')]
        flips = [dict(type='RandomCrop', crop_size=16, padding=1), dict(type='RandomFlip', prob=0.5)]
        cfg.train_dataloader.dataset.pipeline = [*flips, dict(type='PackInputs')]
        cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
        path = tmp_path / f'{name}.py'
        cfg.dump(path)
        return path

    return config


@pytest.fixture
def methods(config):
    """KD, SHAKE, and a method that reads a feature of the teacher too, in their own stage of the training."""
    hint = dict(of='student.f2', to='teacher0.f2', loss=dict(type='MSELoss'), connector=dict(type='ConvRegressor'))
    return [
        config('kd', dict(type='shake_mm.KD')),
        config('shake'),
        config('hint', dict(type='shake_mm.KD', terms=dict(hint=hint))),
    ]


def assert_equal(folder, number, other, place):
    """Run ``FOLDER/NUMBER`` ended with the bits of ``OTHER/PLACE``."""
    found, wanted = (final(path)['state_dict'] for path in (folder / str(number), other / str(place)))
    assert_same(found, wanted)


def test_runs_that_share_end_as_live_ones_do(methods, tmp_path):
    """All together, and where one dies in the midst of a pass that the others wait for."""
    live, shared, cut = tmp_path / 'live', tmp_path / 'shared', tmp_path / 'cut'
    assert train_together(methods, live, shared=False).codes == [0, 0, 0]
    ended = train_together(methods, shared)
    assert ended.codes == [0, 0, 0] and ended.passes == list(range(STEPS))  # one pass for all three
    for number in range(3):
        assert_equal(shared, number, live, number)

    ended = train_together(methods[:2], cut, {0: (3, signal.SIGKILL)})
    died = ended.codes[0] == -signal.SIGKILL  # unless run 1 was always first in step 3
    assert ended.codes[1] == 0 and set(ended.passes) == set(range(STEPS)) and ended.passes.count(3) == 1 + died
    assert_equal(cut, 1, live, 1)


def test_seeds_share_by_a_seed_of_the_data(config, tmp_path):
    configs = [config(f'seed{seed}', seed=seed, data_seed=5) for seed in (1, 2)]
    live, shared = tmp_path / 'live', tmp_path / 'shared'
    assert train_together(configs[1:], live, shared=False).codes == [0]
    ended = train_together(configs, shared)
    assert ended.codes == [0, 0] and ended.passes == list(range(STEPS))
    assert_equal(shared, 1, live, 0)
    with pytest.raises(AssertionError):
        assert_equal(shared, 0, live, 0)  # which began with other weights


def test_other_batches_are_refused(config, tmp_path):
    """And the run that was first goes on."""
    ended = train_together([config('one', seed=1), config('two', seed=2)], tmp_path / 'shared')
    assert sorted(ended.codes) == [0, 1]
    refused = ended.codes.index(1)
    assert ended.errors[refused].startswith(
        f'error: teacher0: in step 0 this run sees another batch than run {1 - refused}, with which it shares'
    )
    assert ended.errors[refused].count('\n') == 1
    assert set(ended.passes) == set(range(STEPS))
