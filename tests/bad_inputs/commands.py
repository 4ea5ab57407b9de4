"""Bad inputs: the command line."""

from .case import Case
from .site import GONE, Site, weights_of


def _test(*options: str, changes: dict | None = None):
    def prepare(site: Site) -> list[str]:
        config, *work = site.plain(changes)
        return [config, site.write('good.pth', weights_of(6)), *work, *options]

    return prepare


def _export(site: Site) -> list[str]:
    return [site.plain()[0], site.write('good.pth', weights_of(6)), str(site.path / 'out')]


def _class_head(site: Site) -> list[str]:
    return [site.kd()[0], site.write('good.pth', weights_of(6)), str(site.path / 'out'), '--class-head-only']


def _convert(*words: str):
    return lambda site: [*words, site.write('good.pth', weights_of(6)), str(site.path / 'out.pth')]


def _over(site: Site) -> list[str]:
    return ['--arch', 'resnet8', site.write('good.pth', weights_of(6)), site.write('out.pth', 'mine')]


CASES = [
    Case('command line', 'no config', lambda s: [], 'config', '--help'),
    Case('command line', 'unknown option', lambda s: s.plain({}, '--work_dri', 'x'), '--work_dri', '--help'),
    Case('command line', 'a second config', lambda s: s.plain({}, 'other.py'), 'other.py', '--help'),
    Case('command line', 'an option without its value', lambda s: [s.plain()[0], '--work-dir'], '--work-dir', '--help'),
    Case(
        'command line', 'unknown launcher', lambda s: s.plain({}, '--launcher', 'torchrun'), '--launcher', 'choose from'
    ),
    Case('command line', 'a rank in words', lambda s: s.plain({}, '--local_rank', 'one'), '--local_rank', '--help'),
    Case(
        'command line', 'a setting without a value', lambda s: s.plain({}, '--cfg-options', 'seed'), 'seed', 'key=value'
    ),
    Case(
        'command line',
        'unbalanced brackets',
        lambda s: s.plain({}, '--cfg-options', 'a=[(1,2]'),
        'a=[(1,2]',
        'key=value',
    ),
    Case(
        'command line',
        'a setting inside of a word',
        lambda s: s.plain({}, '--cfg-options', 'model.type.x=1'),
        '--cfg-options',
        'correct them',
    ),
    Case(
        'command line',
        'resume from nowhere',
        lambda s: s.plain({}, '--resume', 'gone.pth'),
        'gone.pth',
        'correct the path',
    ),
    Case(
        'command line',
        'a config that the package does not have',
        lambda s: ['shake_mm::kd/kd_nobody.py'],
        'shake_mm::kd/kd_nobody.py',
        'correct the path',
    ),
    Case(
        'command line',
        '--auto-scale-lr without a base',
        lambda s: s.plain({}, '--auto-scale-lr'),
        '--auto-scale-lr',
        'auto_scale_lr.base_batch_size',
    ),
    Case(
        'command line',
        '--exact by iterations',
        lambda s: s.plain({'train_cfg': dict(type='IterBasedTrainLoop', max_iters=2)}, '--exact'),
        '--exact',
        'set train_cfg.by_epoch=True',
    ),
    Case(
        'command line',
        '--exact with another sampler',
        lambda s: s.plain({'train_dataloader.sampler': dict(type='InfiniteSampler')}, '--exact'),
        '--exact',
        'use DefaultSampler',
    ),
    Case(
        'command line',
        '--amp with two optimizers',
        lambda s: (
            s.patch.setattr('shake_mm.cli.train.get_device', lambda: 'cuda'),
            s.plain({'optim_wrapper': dict(constructor='X')}, '--amp'),
        )[1],
        '--amp',
        'one optimizer',
    ),
    Case(
        'command line',
        '--amp with an optimizer wrapper of another kind',
        lambda s: (
            s.patch.setattr('shake_mm.cli.train.get_device', lambda: 'cuda'),
            s.plain({'optim_wrapper.type': 'shake_mm.TwoMomentaOptimWrapper'}, '--amp'),
        )[1],
        '--amp',
        'leave it out',
    ),
    Case('command line', 'predictions into JSON', _test('--out', 'out.json'), '--out', '.pkl', 'test'),
    Case('command line', 'unknown member', _test('--member', 'teacher0'), '--member', 'distiller', 'test'),
    Case('command line', '--tta of another member', _test('--tta', '--member', 'teacher0'), '--tta', 'leave', 'test'),
    Case(
        'command line',
        '--show-dir without a hook',
        _test('--show-dir', 'out'),
        '--show-dir',
        'default_hooks.visualization',
        'test',
    ),
    Case('command line', 'an interval of words', _test('--interval', 'often'), '--interval', '--help', 'test'),
    Case('command line', 'a config without a test', _test(changes={'test_cfg': GONE}), 'test_cfg', 'add', 'test'),
    Case(
        'command line',
        'unknown architecture',
        _convert('--arch', 'resnet9'),
        '--arch',
        'choose from',
        'model_converters/crd_to_mmpretrain',
    ),
    Case('command line', 'a file in the way', _over, 'out.pth', 'name another', 'model_converters/crd_to_mmpretrain'),
    Case('command line', 'export without distillation', _export, 'model.student', 'give the config', 'export_student'),
    Case(
        'command line',
        'a class head alone of a network without',
        _class_head,
        '--class-head-only',
        'leave out',
        'export_student',
    ),
    Case(
        'command line',
        'a config to print into nowhere',
        lambda s: [s.plain()[0], '--save-path', 'no/out.py'],
        'no/out.py',
        'correct the path',
        'misc/print_config',
    ),
]
