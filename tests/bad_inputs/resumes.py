"""Bad inputs: checkpoints of another run to go on from."""

from collections.abc import Callable
from typing import Any

import torch

from shake_mm.registry import MODELS

from .case import Case
from .site import GONE, Site, classifier_of, state_of

ADAM = {'optim_wrapper': dict(optimizer=dict(type='AdamW', lr=1e-3))}
MEND = 'give the config'


def saved(kind: type = torch.optim.SGD, prefix: str = '', **changes: Any) -> dict:
    """What mmengine saves after the first epoch of the plain run, with changes; ``GONE`` takes a part out."""
    state = {f'{prefix}{key}': value for key, value in state_of().items()}
    content = dict(
        meta=dict(epoch=1, iter=2, seed=0),
        state_dict=state,
        message_hub=dict(log_scalars={}, runtime_info={}, resumed_keys={}),
        optimizer=kind([torch.nn.Parameter(torch.zeros(1))], lr=0.05).state_dict(),
        param_schedulers=[],
    )
    return {key: value for key, value in {**content, **changes}.items() if value is not GONE}


def _row(name: str, names: str, remedy: str, changes: dict | None = None, **content: Any) -> Case:
    def prepare(site: Site) -> list[str]:
        return site.plain(changes, '--resume', site.save(saved(**content), 'bad.pth'))

    return Case('checkpoint', name, prepare, names, remedy)


def _last(content: str | bytes) -> Callable[[Site], list[str]]:
    def prepare(site: Site) -> list[str]:
        site.write('earlier/last_checkpoint', content)
        return site.plain({}, '--resume')

    return prepare


def _distilled(name: str, names: str, changes: dict | None = None, **content: Any) -> Case:
    def prepare(site: Site) -> list[str]:
        return site.kd(changes, '--resume', site.save(saved(**content), 'bad.pth'))

    return Case('checkpoint', name, prepare, names, MEND)


def _peer(site: Site) -> list[str]:
    bad = site.save(saved(prefix='student.'), 'bad.pth')
    return site.kd({'model': dict(type='shake_mm.DML', student=classifier_of(), teachers=[_PEER])}, '--resume', bad)


_PEER = dict(config=classifier_of(8), trainable=True)

_BIAS = 'head.fc.bias'
_STEPS = {'param_scheduler': [dict(type='MultiStepLR', milestones=[1])]}
_SCHEDULE = dict(base_values='x')
_HUB = dict(log_scalars={}, runtime_info=dict(best_score='x'), resumed_keys={})


def _state(**changes: Any) -> dict:
    """The state of an optimizer of all parameters, with changes of its group."""
    state = torch.optim.SGD(MODELS.build(classifier_of()).parameters(), lr=0.05, momentum=0.9).state_dict()
    state['param_groups'][0].update(changes)
    return state


_NO_SCHEDULE = dict(param_schedulers=[3], optimizer=_state())
_MOMENTS = {**_state(), 'state': {0: dict(momentum_buffer=torch.ones(7))}}

CASES = [
    _row('to go on from, of weights in words', 'has in another shape', MEND, state_dict={**state_of(), _BIAS: 'x'}),
    _row('to go on from, of a rate in words', "its optimizer has lr='x'", 'an earlier one', optimizer=_state(lr='x')),
    _row(
        'to go on from, of moments of another shape', 'its optimizer does not fit', 'an earlier one', optimizer=_MOMENTS
    ),
    _row('to go on from, of parameters without numbers', 'no state of one', MEND, optimizer=_state(params=['a'])),
    _row('to go on from, of a schedule in words', "base_values is 'x'", 'an earlier', param_schedulers=[_SCHEDULE]),
    _row('to go on from, of a best score in words', "best_score is 'x'", 'an earlier one', message_hub=_HUB),
    _row(
        'to go on from, of schedules that are none',
        'cannot be gone on from',
        'an earlier',
        _STEPS,
        **_NO_SCHEDULE,
    ),
    _row('to go on from, of an optimizer of other parameters', 'had other parameters', MEND),
    _row('to go on from, of SGD with AdamW', 'AdamW', MEND, ADAM),
    _row('to go on from, of AdamW with SGD', 'SGD', MEND, kind=torch.optim.AdamW),
    _row('to go on from, of RMSprop with SGD', 'SGD', MEND, kind=torch.optim.RMSprop),
    _row('to go on from, of two optimizers', 'one optimizer', MEND, optimizer=dict(a={}, b={})),
    _row('to go on from, without an epoch', 'meta.epoch', 'load_from', meta=dict(iter=2)),
    _row('to go on from, without an iteration', 'meta.iter', 'load_from', meta=dict(epoch=1)),
    _row('to go on from, in an epoch below 0', 'meta.epoch', 'load_from', meta=dict(epoch=-1, iter=2)),
    _row('to go on from, in an epoch in words', 'meta.epoch', 'load_from', meta=dict(epoch='two', iter=2)),
    _row('to go on from, with a list as its place', 'meta.epoch', 'load_from', meta=[1, 2]),
    _row('to go on from, with an empty log', 'message_hub', 'earlier', message_hub={}),
    _row('to go on from, with a list as its log', 'message_hub', 'earlier', message_hub=[1]),
    _row('to go on from, of more classes', 'head.fc.weight', MEND, {'model.head.num_classes': 101}),
    _row('to go on from, of a distiller', 'bad.pth', MEND, prefix='student.'),
    _distilled('to go on from, of a plain run', 'student.backbone'),
    _distilled('to go on from, of KD with SHAKE', 'proxies', {'model.type': 'shake_mm.SHAKE'}, prefix='student.'),
    Case('checkpoint', 'to go on from, of KD with DML', _peer, 'peer', MEND),
    Case('checkpoint', 'the last one by bytes', _last(b'\xff\xfe\x00work'), 'last_checkpoint', '--resume PATH'),
    Case('checkpoint', 'the last one by nothing', _last(''), 'last_checkpoint', '--resume PATH'),
    Case('checkpoint', 'the last one by zeros', _last(bytes(64)), 'last_checkpoint', '--resume PATH'),
    Case('checkpoint', 'the last one by two lines', _last('a.pth\nb.pth\n'), 'last_checkpoint', '--resume PATH'),
]
