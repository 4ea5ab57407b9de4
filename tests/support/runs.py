"""Real Runner runs on a tiny digits set, as a user starts them."""

from itertools import count

from mmengine.config import Config
from mmengine.runner import Runner

_RUNS = count()


def run_config(model, work_dir, epochs=1, samples=64, **changes):
    """A complete config: two-digit images, batches of 16, SGD."""
    data = dict(
        batch_size=16,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            type='shake_mm.DigitPairs',
            split='train',
            num_samples=samples,
            image_size=16,
            pipeline=[dict(type='PackInputs')],
        ),
    )
    val = {**data, 'sampler': dict(type='DefaultSampler', shuffle=False)}
    val['dataset'] = {**data['dataset'], 'split': 'val', 'num_samples': 24}
    config = dict(
        default_scope='mmpretrain',
        model=model,
        work_dir=str(work_dir),
        train_dataloader=data,
        val_dataloader=val,
        test_dataloader=val,
        val_evaluator=dict(type='Accuracy', topk=(1,)),
        test_evaluator=dict(type='Accuracy', topk=(1,)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4)),
        custom_hooks=[
            dict(type='shake_mm.MemberEvalHook'),
            dict(type='shake_mm.StageHook'),
            dict(type='shake_mm.FiniteGuardHook'),
        ],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=2), checkpoint=dict(type='CheckpointHook', interval=1)
        ),
        randomness=dict(seed=0),
        log_level='WARNING',
        experiment_name=f'{work_dir.name}_{next(_RUNS)}',  # those of one second are told apart by it
    )
    config.update(changes)
    return Config(config)


def train(*args, **kwargs):
    """Run and return the runner."""
    runner = Runner.from_cfg(run_config(*args, **kwargs))
    runner.train()
    return runner
