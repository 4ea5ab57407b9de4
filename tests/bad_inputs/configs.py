"""Bad inputs: the config."""

from typing import Any

from .case import Case
from .site import GONE, Site

LOGITS = dict(of='student.logits', to='teacher0.logits')
TWO_MOMENTA = dict(
    type='shake_mm.TwoMomentaOptimWrapper', optimizer=dict(type='shake_mm.TwoMomentaSGD', lr=0.1, momentum=0.9)
)
HINT = dict(of='student.f2', to='teacher0.f2', loss=dict(type='ATLoss'))


def _text(text: str, name: str = 'run.py'):
    def prepare(site: Site) -> list[str]:
        return [site.write(name, text), '--work-dir', str(site.work)]

    return prepare


def _by_loss(**more: Any) -> dict:
    sgd = dict(type='SGD', lr=0.1)
    return dict(constructor='shake_mm.OptimizersByLoss', main=dict(optimizer=sgd), other=dict(optimizer=sgd, **more))


def _twice(site: Site) -> list[str]:
    for name in ('a', 'b'):
        site.write(f'{name}.py', 'seed = 0\n')
    return _text("_base_ = ['a.py', 'b.py']\n")(site)


CASES = [
    Case('config', 'the file does not exist', lambda s: ['rnu.py'], 'rnu.py', 'correct the path'),
    Case('config', 'syntax error', _text('seed = 0\nmodel = dict(\n'), 'run.py', 'in line 2: correct'),
    Case('config', 'undefined name', _text('seed = sed\n'), 'run.py', "'sed' is not defined"),
    Case('config', 'another kind of file', _text('seed: 0', 'run.txt'), 'run.txt', 'Only py/yml/yaml/json'),
    Case('config', 'broken JSON', _text('{"seed": 0,}', 'run.json'), 'run.json', 'correct'),
    Case('config', 'a base that does not exist', _text("_base_ = 'base.py'\n"), 'base.py', 'correct'),
    Case('config', 'a key in two bases', _twice, 'seed', 'leave one of them out'),
    Case(
        'config',
        'a module to import that does not exist',
        lambda s: s.plain({'custom_imports': dict(imports=['my_losess'])}),
        'my_losess',
        'correct',
    ),
    Case('config', 'no model', lambda s: s.plain({'model': GONE}), 'model', 'add it'),
    Case('config', 'no training', lambda s: s.plain({'train_cfg': GONE}), 'train_cfg', 'add'),
    Case(
        'config', 'shards', lambda s: s.kd({'strategy': dict(type='FSDPStrategy')}), 'strategy', 'leave `strategy` out'
    ),
    Case('config', 'no optimizer', lambda s: s.plain({'optim_wrapper': GONE}), 'optim_wrapper', 'add'),
    Case('config', 'no metric', lambda s: s.plain({'val_evaluator': GONE}), 'val_evaluator', 'add'),
    Case(
        'config',
        'unknown type',
        lambda s: s.plain({'model.head.type': 'LinearClsHed'}),
        'LinearClsHed',
        'did you mean LinearClsHead',
    ),
    Case('config', 'a part without a type', lambda s: s.plain({'model.head.type': GONE}), 'type', 'add'),
    Case(
        'config',
        'unknown argument',
        lambda s: s.plain({'model.head.in_chanels': 6}),
        'in_chanels',
        'did you mean in_channels',
    ),
    Case(
        'config',
        'missing argument',
        lambda s: s.plain({'model.head.num_classes': GONE}),
        'num_classes',
        'correct the key',
    ),
    Case(
        'config',
        'negative rate',
        lambda s: s.plain({'optim_wrapper.optimizer.lr': -1.0}),
        'optim_wrapper.optimizer',
        '0 or more',
    ),
    Case('config', 'no epochs', lambda s: s.plain({'train_cfg.max_epochs': 0}), 'train_cfg.max_epochs', '1 or more'),
    Case(
        'config',
        'epochs in words',
        lambda s: s.plain({'train_cfg.max_epochs': 'ten'}),
        'train_cfg.max_epochs',
        '1 or more',
    ),
    Case(
        'config',
        'batch size 0',
        lambda s: s.plain({'train_dataloader.batch_size': 0}),
        'train_dataloader.batch_size',
        '1 or more',
    ),
    Case(
        'config',
        'workers below 0',
        lambda s: s.plain({'train_dataloader.num_workers': -1}),
        'train_dataloader.num_workers',
        '0 or more',
    ),
    Case(
        'config',
        'no sampler',
        lambda s: s.plain({'train_dataloader.sampler': GONE}),
        'train_dataloader.sampler',
        'add',
    ),
    Case(
        'config',
        'unknown metric',
        lambda s: s.plain({'val_evaluator.type': 'Acuracy'}),
        'Acuracy',
        'did you mean Accuracy',
    ),
    Case(
        'config',
        'unknown schedule',
        lambda s: s.plain({'param_scheduler': [dict(type='StepLRs', step_size=1)]}),
        'StepLRs',
        'did you mean StepLR',
    ),
    Case(
        'config',
        'a hook of distillation without distillation',
        lambda s: s.plain({'custom_hooks': [dict(type='shake_mm.StageHook')]}),
        'shake_mm.StageHook',
        'leave the hook out',
    ),
    Case(
        'config',
        'unknown key of a term',
        lambda s: s.kd({'model.terms': dict(x=dict(HINT, wieght=1))}),
        'wieght',
        'did you mean weight',
    ),
    Case(
        'config', 'negative weight', lambda s: s.kd({'model.terms': dict(x=dict(HINT, weight=-1))}), 'terms.x', '>= 0'
    ),
    Case(
        'config',
        'a rise of no warm-up',
        lambda s: s.kd({'model.terms': dict(x=dict(HINT, ramp='sigmoid'))}),
        'terms.x',
        'give `warmup`',
    ),
    Case('config', 'temperature 0', lambda s: s.kd({'model.tau': 0}), 'tau', 'larger than 0'),
    Case(
        'config',
        'stages in no order',
        lambda s: s.kd({'model.stages': [dict(until=2), dict(until=1), dict()]}),
        'until',
        'must increase',
    ),
    Case(
        'config',
        'a stage of an unknown term',
        lambda s: s.kd({'model.stages': [dict(until=1), dict(terms=['tsak'])]}),
        'tsak',
        'the terms are',
    ),
    Case(
        'config',
        'gradients scaled at a frozen teacher',
        lambda s: s.kd({'model.gradient_scales': {'teacher0.f2': 0.5}}),
        'teacher0.f2',
        'name a layer',
    ),
    Case(
        'config',
        'a margin of features that no batch norm makes',
        lambda s: s.kd({'model.terms': dict(x=dict(HINT, to='teacher0.pool', to_connector=dict(type='MarginReLU')))}),
        'terms.x.to_connector',
        'tap features that a batch norm makes',
    ),
    Case(
        'config',
        'a member to measure that there is not',
        lambda s: s.kd({'custom_hooks': [dict(type='shake_mm.MemberEvalHook', measure=['teacher1'])]}),
        "measure: 'teacher1' is no teacher or proxy",
        'name one of teacher0',
    ),
    Case(
        'config',
        'members to measure by number',
        lambda s: s.kd({'custom_hooks': [dict(type='shake_mm.MemberEvalHook', measure=1)]}),
        'MemberEvalHook.measure=1',
        "such as ['teacher0', 'proxy*']",
    ),
    Case(
        'config',
        'a temperature that counts epochs, without the hook of stages',
        lambda s: s.kd({'model.terms': dict(x=dict(LOGITS, loss=dict(type='CTKDLoss'))), 'custom_hooks': []}),
        'terms.x',
        'add it',
    ),
    Case(
        'config',
        'an optimizer of losses that no term makes',
        lambda s: s.kd({'optim_wrapper': _by_loss(losses=['loss_hint'])}),
        'optim_wrapper.other.losses',
        'name one of student., loss_student_from_teacher',
    ),
    Case(
        'config',
        'two optimizers for the same losses',
        lambda s: s.kd({'optim_wrapper': _by_loss()}),
        'optim_wrapper',
        'all but one of them with losses',
    ),
    Case(
        'config',
        'two momenta with clipped gradients',
        lambda s: s.kd({'optim_wrapper': dict(TWO_MOMENTA, clip_grad=dict(max_norm=1.0))}),
        'TwoMomentaOptimWrapper',
        'leave accumulative_counts and clip_grad out',
    ),
    Case(
        'config',
        'two momenta of which one is 1',
        lambda s: s.kd({'optim_wrapper': dict(TWO_MOMENTA, optimizer=dict(TWO_MOMENTA['optimizer'], delta=0.1))}),
        'optimizer',
        'lower delta',
    ),
]
