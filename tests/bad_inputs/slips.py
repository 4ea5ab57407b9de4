"""Bad inputs: slips, each told with the right word."""

from .case import Case
from .site import Site

HINT = dict(of='student.logits', to='teacher0.logits', loss=dict(type='KLDivLoss'))


def _two_bases(site: Site) -> list[str]:
    config, *options = site.plain()
    others = site.write('hooks.py', "custom_hooks = [dict(type='EMAHook')]\n")
    text = f'_base_ = [{config!r}, {others!r}]\n'
    return [site.write('joined.py', text), *options]


def _setting(text: str):
    return lambda site: site.kd({}, '--cfg-options', text)


CASES = [
    Case('config', 'the temperature by its name', lambda s: s.kd({'model.temperature': 2}), 'temperature', 'mean tau'),
    Case('config', 'a weight by its name', lambda s: s.kd({'model.lambd': 2}), 'lambd', 'mean lam'),
    Case(
        'config',
        'the temperature in a term',
        lambda s: s.kd({'model.terms': dict(x=dict(HINT, tau=2))}),
        'terms.x',
        "the term's loss",
    ),
    Case('config', 'two bases with hooks', _two_bases, 'custom_hooks', '*_base_.custom_hooks'),
    Case('command line', 'a key that nobody reads', _setting('modell.tau=2'), 'modell.tau', 'did you mean model.tau'),
    Case('command line', 'epochs at the top', _setting('max_epochs=2'), 'max_epochs', 'mean train_cfg.max_epochs'),
    Case(
        'command line',
        'dicts in a setting',
        _setting("custom_hooks=[dict(type='EMAHook')]"),
        'custom_hooks',
        'custom_hooks.0.',
    ),
    Case('command line', 'a dict in a setting', _setting("model.terms={'x':1}"), 'model.terms', 'holds a dict'),
    Case(
        'command line',
        'a GPU where there is none',
        lambda s: [*s.kd()[:1], '--device', 'cuda:9', '--folder', str(s.path / 'cache')],
        '--device cuda:9',
        'use cpu',
        tool='cache_teacher',
    ),
]
