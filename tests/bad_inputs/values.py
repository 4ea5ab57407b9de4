"""Bad inputs: values of a config of a wrong type or range."""

from typing import Any

from .case import Case
from .site import Site

LR, MOMENTUM = 'optim_wrapper.optimizer.lr', 'optim_wrapper.optimizer.momentum'
CLIP, TRAIN, VAL = 'optim_wrapper.clip_grad', 'train_dataloader', 'val_dataloader'
SAVING, LOGGING = 'default_hooks.checkpoint', 'default_hooks.logger'
COLORS = 'data_preprocessor'


class _Raw(str):
    """A value as the config has it, where its repr is no Python."""

    __repr__ = str.__str__


NAN, INF = _Raw("float('nan')"), _Raw("float('inf')")


def _row(name: str, key: str, value: Any, remedy: str, within: Any = None, names: str | None = None) -> Case:
    """One value is set; ``within`` is a part of the config that must be there for it, at the key's parent."""
    changes = {key: value} if within is None else {key.rpartition('.')[0]: {**within, key.rpartition('.')[2]: value}}

    def prepare(site: Site) -> list[str]:
        return site.plain(changes)

    return Case('config', name, prepare, names or key, remedy)


def _schedule(name: str, key: str, value: Any, remedy: str, **others: Any) -> Case:
    schedule = {'type': 'MultiStepLR', 'milestones': [1], **others, key: value}
    return Case('config', name, lambda s: s.plain({'param_scheduler': [schedule]}), f'param_scheduler.0.{key}', remedy)


def _optimizer(name: str, remedy: str, **options: Any) -> Case:
    def prepare(site: Site) -> list[str]:
        return site.plain({'optim_wrapper.optimizer': options})

    return Case('config', name, prepare, 'optim_wrapper.optimizer', remedy)


def _yaml(text: str):
    def prepare(site: Site) -> list[str]:
        content = f'model: {{type: ImageClassifier}}\n{text}\n'
        return [site.write('run.yaml', content), '--work-dir', str(site.work)]

    return prepare


def _twice(changes: dict, *options: str):
    return lambda site: site.plain(changes, '--cfg-options', *options)


CASES = [
    _row('a seed below 0', 'randomness.seed', -1, '4294967295 at most'),
    _row('a seed of 41 bits', 'randomness.seed', 2**40, '4294967295 at most'),
    _row('a seed in words', 'randomness.seed', 'zero', 'a whole number'),
    _row('a seed with a fraction', 'randomness.seed', 0.5, 'a whole number'),
    _row('a seed that is a list', 'randomness.seed', [0], 'a whole number'),
    _row('a seed that is a truth', 'randomness.seed', True, 'a whole number'),
    _row('a misspelled seed', 'randomness.sed', 0, 'did you mean seed', names="'sed'"),
    _row('a seed alone', 'randomness', 7, 'a dict'),
    _row('determinism by a word', 'randomness.deterministic', 'yes', 'True or False'),
    _row('a seed for each rank by a number', 'randomness.diff_rank_seed', 1, 'True or False'),
    _row('validation each 0 epochs', 'train_cfg.val_interval', 0, '1 or more'),
    _row('validation each -1 epochs', 'train_cfg.val_interval', -1, '1 or more'),
    _row('an interval of validation in words', 'train_cfg.val_interval', '5', 'without quotes'),
    _row('validation from an epoch in words', 'train_cfg.val_begin', 'late', '0 or more'),
    _row('epochs that are a truth', 'train_cfg.max_epochs', True, '1 or more'),
    _row('epochs with a fraction', 'train_cfg.max_epochs', 1.5, '1 or more'),
    _row('endless epochs', 'train_cfg.max_epochs', INF, '1 or more'),
    _row('-3 epochs', 'train_cfg.max_epochs', -3, '1 or more'),
    _row('a list of epochs', 'train_cfg.max_epochs', [1], '1 or more'),
    _row('epochs by a word', 'train_cfg.by_epoch', 'true', 'True or False'),
    _row('a number as the training', 'train_cfg', 3, 'a dict'),
    _row('a dynamic interval alone', 'train_cfg.dynamic_intervals', (1, 1), 'pairs'),
    _row('a dynamic interval of 0', 'train_cfg.dynamic_intervals', [(1, 0)], 'pairs'),
    _row('dynamic intervals in threes', 'train_cfg.dynamic_intervals', [(1, 1, 1)], 'pairs'),
    _row('dynamic intervals in words', 'train_cfg.dynamic_intervals', 'often', 'pairs'),
    _row('no iterations', 'train_cfg', dict(type='IterBasedTrainLoop', max_iters=0), '1 or more', names='max_iters'),
    _row('accumulation over 0 steps', 'optim_wrapper.accumulative_counts', 0, '1 or more'),
    _row('accumulation over half a step', 'optim_wrapper.accumulative_counts', 0.5, '1 or more'),
    _row('accumulation in words', 'optim_wrapper.accumulative_counts', '2', 'without quotes'),
    _row('a rate in quotes', LR, '0.1', 'without quotes'),
    _row('a rate that is NaN', LR, NAN, 'a finite number'),
    _row('an endless rate', LR, INF, 'a finite number'),
    _row('a rate that is a truth', LR, True, 'a finite number'),
    _row('a list of rates', LR, [0.1], 'a finite number'),
    _row('a rate in words', LR, 'small', 'a finite number'),
    _row('negative momentum', MOMENTUM, -0.9, '0 or more'),
    _row('momentum of 9', MOMENTUM, 9, '1 at most'),
    _row('momentum in quotes', MOMENTUM, '0.9', 'without quotes'),
    _row('negative weight decay', 'optim_wrapper.optimizer.weight_decay', -5e-4, '0 or more'),
    _row('weight decay in quotes', 'optim_wrapper.optimizer.weight_decay', '5e-4', 'without quotes'),
    _row('Nesterov by a word', 'optim_wrapper.optimizer.nesterov', 'no', 'True or False'),
    _row('damping of 2', 'optim_wrapper.optimizer.dampening', 2, '1 at most'),
    _optimizer('betas of 1.5', 'each entry', type='AdamW', lr=0.1, betas=(1.5, 0.9)),
    _optimizer('one beta', 'a list', type='AdamW', lr=0.1, betas=0.9),
    _optimizer('a negative epsilon', '0 or more', type='AdamW', lr=0.1, eps=-1e-8),
    _optimizer('AMSGrad by a word', 'True or False', type='AdamW', lr=0.1, amsgrad='on'),
    _row('an optimizer by name', 'optim_wrapper.optimizer', 'SGD', 'a dict'),
    _row('an optimizer wrapper by name', 'optim_wrapper', 'OptimWrapper', 'a dict'),
    _row('gradients clipped at -1', f'{CLIP}.max_norm', -1, 'above 0', {}),
    _row('gradients clipped at 0', f'{CLIP}.max_norm', 0, 'above 0', {}),
    _row('gradients clipped at a word', f'{CLIP}.max_norm', '5', 'without quotes', {}),
    _row('gradients clipped at NaN', f'{CLIP}.max_norm', NAN, 'above 0', {}),
    _row('clipping by a number', CLIP, -1, 'a dict'),
    _row('clipping by value at -1', f'{CLIP}.clip_value', -1.0, 'above 0', dict(type='value')),
    _row('clipping of an unknown kind', f'{CLIP}.type', 'norms', "'norm' or 'value'", dict(max_norm=1)),
    _row('clipping in an unknown norm', f'{CLIP}.norm_type', 'max', 'above 0', dict(max_norm=1)),
    _row('a misspelled limit of clipping', f'{CLIP}.maxnorm', 5, 'did you mean max_norm', {}, "'maxnorm'"),
    _row('a negative factor of rates', 'optim_wrapper.paramwise_cfg.bias_lr_mult', -1, '0 or more', {}),
    _row('a factor of decay in words', 'optim_wrapper.paramwise_cfg.norm_decay_mult', 'none', '0 or more', {}),
    _row('a factor instead of a dict', 'optim_wrapper.paramwise_cfg.custom_keys', dict(head=0.1), 'a dict', {}),
    _row('keys of parameters in a list', 'optim_wrapper.paramwise_cfg.custom_keys', ['head'], 'a dict', {}),
    _schedule('milestones in words', 'milestones', '150', 'a list'),
    _schedule('one milestone', 'milestones', 150, 'a list'),
    _schedule('a milestone below 0', 'milestones', [-1, 2], '0 or more'),
    _schedule('a milestone with a fraction', 'milestones', [0.5], 'a whole number'),
    _schedule('a negative factor of decay', 'gamma', -0.1, '0 or more'),
    _schedule('a factor of decay in quotes', 'gamma', '0.1', 'without quotes'),
    _schedule('a schedule that begins before the start', 'begin', -1, '0 or more'),
    _schedule('a schedule that ends at 0', 'end', 0, '1 or more'),
    _schedule('a schedule by epochs in words', 'by_epoch', 'yes', 'True or False'),
    _schedule('a cosine over 0 epochs', 'T_max', 0, 'above 0', type='CosineAnnealingLR'),
    _schedule('a cosine to below 0', 'eta_min', -1, '0 or more', type='CosineAnnealingLR'),
    _schedule('steps of 0', 'step_size', 0, '1 or more', type='StepLR'),
    _schedule('a warm-up from 0', 'start_factor', 0, 'above 0', type='LinearLR'),
    _schedule('a warm-up from 2', 'start_factor', 2.0, '1 at most', type='LinearLR'),
    _row('a schedule by name', 'param_scheduler', 'StepLR', 'a list of dicts'),
    _row('a batch size with a point', f'{TRAIN}.batch_size', 16.0, '1 or more'),
    _row('a batch size in quotes', f'{TRAIN}.batch_size', '16', 'without quotes'),
    _row('a negative batch size', f'{TRAIN}.batch_size', -4, '1 or more'),
    _row('a batch size of validation in words', f'{VAL}.batch_size', 'all', '1 or more'),
    _row('half a worker', f'{TRAIN}.num_workers', 0.5, '0 or more'),
    _row('workers in quotes', f'{TRAIN}.num_workers', '2', 'without quotes'),
    _row('workers of validation below 0', f'{VAL}.num_workers', -2, '0 or more'),
    _row('0 batches ahead', f'{TRAIN}.prefetch_factor', 0, '1 or more'),
    _row('a last batch by a word', f'{TRAIN}.drop_last', 'yes', 'True or False'),
    _row('pinned memory by a word', f'{TRAIN}.pin_memory', 'yes', 'True or False'),
    _row('shuffling by a word', f'{TRAIN}.sampler.shuffle', 'yes', 'True or False'),
    _row('a negative time limit', f'{TRAIN}.timeout', -1, '0 or more'),
    _row('a data set by name', f'{TRAIN}.dataset', 'CIFAR100', 'a dict'),
    _row('a sampler by name', f'{TRAIN}.sampler', 'DefaultSampler', 'a dict'),
    _row('a loader by name', TRAIN, 'cifar100', 'a dict'),
    _row('a pipeline of names', f'{TRAIN}.dataset.pipeline', ['PackInputs'], 'a list'),
    _row('a pipeline that is no list', f'{TRAIN}.dataset.pipeline', dict(type='PackInputs'), 'a list'),
    _row('checkpoints each word', f'{SAVING}.interval', '1', 'without quotes'),
    _row('checkpoints each half epoch', f'{SAVING}.interval', 0.5, 'a whole number'),
    _row('keeping some checkpoints', f'{SAVING}.max_keep_ckpts', 'some', 'a whole number'),
    _row('a best checkpoint by a number', f'{SAVING}.rule', 1, "'greater' or 'less'"),
    _row('a best checkpoint by a sign', f'{SAVING}.rule', '>', "'greater' or 'less'"),
    _row('an optimizer saved by a word', f'{SAVING}.save_optimizer', 'no', 'True or False'),
    _row('a best checkpoint by another metric', f'{SAVING}.save_best', 'accuracy/top5', "set it to 'accuracy/top1'"),
    _row('a best checkpoint by half a name', f'{SAVING}.save_best', 'top1', "set it to 'accuracy/top1'"),
    _row('a best checkpoint by a metric of detection', f'{SAVING}.save_best', 'coco/bbox_mAP', 'set it to'),
    _row('a best checkpoint by what has no order', f'{SAVING}.save_best', 'speed', 'correct', names='CheckpointHook'),
    _row('an unknown option of saving', f'{SAVING}.intervall', 1, 'did you mean interval', names=SAVING),
    _row('a type that is a number', 'model.type', -0.5, 'the name of a class'),
    _row('a type of no letters', 'val_evaluator.type', '', 'the name of a class'),
    _row('a list of types', f'{TRAIN}.dataset.type', ['a', 'b'], 'the name of a class'),
    _row('a log each 0 steps', f'{LOGGING}.interval', 0, '1 or more'),
    _row('a log each few steps', f'{LOGGING}.interval', 'few', '1 or more'),
    _row('a log each 2.0 steps', f'{LOGGING}.interval', 2.0, '1 or more'),
    _row('a hook by name', LOGGING, 'LoggerHook', 'a dict'),
    _row('hooks by name', 'custom_hooks', ['EMAHook'], 'a list'),
    _row('one hook instead of a list', 'custom_hooks', dict(type='EMAHook'), 'a list'),
    _row('a priority of 200', f'{LOGGING}.priority', 200, '100 at most'),
    _row('an unknown priority', f'{LOGGING}.priority', 'URGENT', "'VERY_HIGH'"),
    _row('a deviation of 0', f'{COLORS}.std', [0, 1, 1], 'above 0', dict(mean=[0, 0, 0]), f'{COLORS}.std'),
    _row('a negative deviation', f'{COLORS}.std', [-1.0] * 3, 'above 0', dict(mean=[0, 0, 0])),
    _row('a deviation that is NaN', f'{COLORS}.std', [NAN] * 3, 'above 0', dict(mean=[0, 0, 0])),
    _row('means in words', f'{COLORS}.mean', 'imagenet', 'a list', dict(std=[1, 1, 1])),
    _row('means without deviations', f'{COLORS}.mean', [0, 0, 0], 'add it', {}, '`std`'),
    _row('deviations without means', f'{COLORS}.std', [1, 1, 1], 'add it', {}, '`mean`'),
    _row('more means than deviations', f'{COLORS}.mean', [0, 0, 0], 'one of each', dict(std=[1]), COLORS),
    _row('colors turned by a word', f'{COLORS}.to_rgb', 'yes', 'True or False', {}),
    _row('padding to multiples of 0', f'{COLORS}.pad_size_divisor', 0, '1 or more', {}),
    _row('an unknown level of logs', 'log_level', 'LOUD', "'INFO'"),
    _row('a window of 0', 'log_processor', dict(window_size=0), '1 or more', names='log_processor.window_size'),
    _row('0 guesses', 'val_evaluator.topk', 0, '1 or more'),
    _row('more guesses than classes', 'val_evaluator.topk', (1, 500), '100 or less'),
    _row('guesses in words', 'val_evaluator.topk', 'all', '1 or more'),
    _row('a number as a start', 'load_from', 3, 'a text'),
    _row('a number as the scope', 'default_scope', 1, 'a text'),
    _row('going on by a word', 'resume', 'auto', 'True or False'),
    _row('a base of rates of 0', 'auto_scale_lr', dict(base_batch_size=0), '1 or more', names='auto_scale_lr.base'),
    _row('a number as a network', 'model', 18, 'a dict'),
    _row('half precision by a word', 'val_cfg.fp16', 'yes', 'True or False', {}),
    _row('the fastest kernels by a word', 'env_cfg', dict(cudnn_benchmark='on'), 'True or False', names='cudnn'),
    _row('threads of OpenCV in words', 'env_cfg', dict(mp_cfg=dict(opencv_num_threads='all')), 'whole', names='opencv'),
    Case('config', 'a rate in YAML without a point', _yaml('optim_wrapper: {optimizer: {lr: 1e-3}}'), LR, '1.0e-3'),
    Case('config', 'a seed in quotes on the command line', _twice({}, 'randomness.seed=one'), 'seed', 'whole'),
    Case('config', 'a rate below 0 on the command line', _twice({}, f'{LR}=-0.1'), LR, '0 or more'),
    Case(
        'config', 'an epoch of NaN on the command line', _twice({}, 'train_cfg.max_epochs=nan'), 'max_epochs', 'whole'
    ),
]
