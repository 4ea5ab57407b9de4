"""Bad inputs: searches, and the tools that measure."""

from .case import Case
from .site import GONE, Site


def _searched(changes: dict | None = None, *options: str):
    return lambda site: [*site.kd(changes), *(options or ('--budget', '1s'))]


def _damaged(site: Site) -> list[str]:
    site.write('earlier/tune.json', '{"about": "Written by `python -m shake_mm tune`", "results": {')
    return [*site.kd(), '--budget', '1s']


CASES = [
    Case('command line', 'a search within no time', _searched(None, '--budget', '2 hours'), '--budget', '30m', 'tune'),
    Case(
        'command line',
        'a search that starts from a plain config',
        lambda s: [*s.plain(), '--budget', '1s'],
        'model.type',
        "give type='shake_mm.KD'",
        'tune',
    ),
    Case(
        'command line',
        'a search of a method in stages',
        _searched({'model.stages': dict(first=dict(until=1), second=dict())}),
        'model.stages',
        'leave them out',
        'tune',
    ),
    Case(
        'command line',
        'a search without a validation',
        _searched({'val_dataloader': GONE, 'val_cfg': GONE, 'val_evaluator': GONE}),
        'val_dataloader',
        'give one',
        'tune',
    ),
    Case(
        'command line',
        'a search of other methods beside terms of its own',
        _searched({'model.terms': dict(student_from_teacher=dict(warmup=2))}, '--budget', '1s', '--methods', 'SHAKE'),
        '--methods',
        'name KD alone',
        'tune',
    ),
    Case('command line', 'a search whose record is damaged', _damaged, 'tune.json', 'move it away', 'tune'),
    Case(
        'command line',
        'gradients of a plain config',
        lambda s: [s.plain()[0]],
        'its model is no distillation',
        'has `teachers`',
        'analysis.gradients',
    ),
    Case(
        'command line',
        'gradients after more steps than there are',
        lambda s: [s.kd()[0], '--steps', '5000'],
        '--steps',
        'give as many or fewer',
        'analysis.gradients',
    ),
    Case(
        'command line',
        'a study that does not exist',
        lambda s: ['nothing'],
        "no study 'nothing'",
        'choose of',
        'analysis.evidence.__main__',
    ),
    Case(
        'command line',
        'a row that a study does not have',
        lambda s: ['report-few', '--row', 'Hinton'],
        '--row',
        'choose of them',
        'analysis.evidence.__main__',
    ),
    Case(
        'command line',
        'studies for accelerators without one',
        lambda s: ['--gpu'],
        '--gpu',
        'name other studies',
        'analysis.evidence.__main__',
    ),
]
