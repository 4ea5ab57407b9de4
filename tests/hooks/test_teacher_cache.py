"""Cached teachers in real runs."""

import pytest
import torch
from mmengine.runner import Runner

from shake_mm import switches
from shake_mm.errors import UsageError
from shake_mm.members.cached import BLOCK
from tests.support.runs import run_config


@pytest.fixture
def run(shake, tmp_path):
    """Train on images in 18 views; return the runner, and the sizes of the batches that the teacher computed."""

    def run(name, *rewrites, cache='cache', watch=None, **changes):
        (tmp_path / name).mkdir(exist_ok=True)
        cfg = run_config(dict(shake), tmp_path / name, val_interval=3, **changes)
        cfg.train_cfg.val_interval = 9
        cfg.custom_hooks = [dict(type='shake_mm.StageHook'), dict(type='shake_mm.FiniteGuardHook')]
        views = [dict(type='RandomCrop', crop_size=16, padding=1), dict(type='RandomFlip', prob=0.5)]
        cfg.train_dataloader.dataset.pipeline = [*views, dict(type='PackInputs')]
        for rewrite in rewrites:
            rewrite(cfg, *([str(tmp_path / cache)] if rewrite is switches.make_cached else []))
        runner = Runner.from_cfg(cfg)
        seen = []
        teacher = runner.model.members.frozen['teacher0'].network
        teacher.backbone.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
        if watch is not None:
            watch(runner.model.members.frozen['teacher0'])
        runner.train()
        return runner, seen

    return run


LIVE, CACHED = (switches.make_batched,), (switches.make_batched, switches.make_cached)


def weights(runner):
    return torch.cat([parameter.detach().flatten() for parameter in runner.model.parameters()])


def test_a_second_run_computes_nothing_and_ends_the_same(run):
    """And a live one parts from it by the rounding of the logits and no more."""
    looked_up = []

    def record(member):
        complete = member.forward_head

        def forward_head(passed, taps):
            complete(passed, taps)
            looked_up.append(taps.tensor('teacher0.logits').clone())

        member.forward_head = forward_head

    def replace(member):
        steps = iter(looked_up)

        def take(module, args, output):
            torch.testing.assert_close(step := next(steps), output, rtol=2**-10, atol=1e-6)
            return step

        member.network.head.register_forward_hook(take, prepend=True)

    first, computed = run('first', *CACHED, epochs=3)
    second, again = run('second', *CACHED, epochs=3, watch=record)
    # 64 images a time in batches of 16, the probe at the beginning; some views come twice, and then the check
    assert set(computed) == {BLOCK} and 1 + 4 < len(computed) <= 1 + 3 * 4 + 1 and again == [BLOCK, BLOCK]
    assert torch.equal(weights(first), weights(second))
    assert all(torch.equal(step, step.half().float()) for step in looked_up)
    live, all_of_them = run('live', *LIVE, epochs=3, watch=replace)
    assert sum(all_of_them) == 3 * 64 and len(looked_up) == 12
    assert torch.equal(weights(live), weights(second))


def test_images_one_by_one_share_the_cache_with_batches(run):
    _, computed = run('batched', *CACHED, epochs=20)
    runner, again = run('single', switches.make_cached, epochs=3)
    missing = runner.model.members.cached[0].cache.missing(slice(0, 64))
    assert missing.sum() < 0.4 * missing.size and len(again) <= 1 + 3 * 4 + 1


def test_exact_runs_resume_with_a_cache(run):
    whole, _ = run('whole', *CACHED, switches.make_exact, epochs=2)
    run('part', *CACHED, switches.make_exact, epochs=1, cache='other')
    part, _ = run('part', *CACHED, switches.make_exact, epochs=2, resume=True, cache='other')
    assert part.iter == whole.iter == 8
    assert torch.equal(weights(whole), weights(part))


def test_another_set_is_refused_before_the_training(run):
    run('first', *CACHED)
    with pytest.raises(UsageError, match='the images and its shape|the images'):
        run('second', *CACHED, samples=32)


def test_a_pipeline_that_draws_more_is_refused(run):
    def erase(cfg):
        cfg.train_dataloader.dataset.pipeline.insert(2, dict(type='RandomErasing'))

    with pytest.raises(UsageError, match='RandomErasing.*leave out --batched and --cache-teachers'):
        run('one', erase, switches.make_batched)
    with pytest.raises(UsageError, match='has a RandomErasing too'):
        run('two', switches.make_cached, erase)
