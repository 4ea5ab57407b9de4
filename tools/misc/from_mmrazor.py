"""Translate a distillation config of mmrazor 1.x: ``python tools/misc/from_mmrazor.py CONFIG OUT``.

What is translated, and what has no counterpart, is told in ``docs/from_mmrazor.md``.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shake_mm import cli
from shake_mm.errors import UsageError

ALGORITHMS = ('SingleTeacherDistill', 'FpnTeacherDistill', 'OverhaulFeatureDistillation', 'SelfDistill')
GUIDE = 'see docs/from_mmrazor.md'
LABELS = ('gt_labels', 'label')
"""Arguments of losses that mmrazor records and we read from the batch."""
ACTIVATIONS = ('relu', 'act', 'activate')
"""Layers that OpenMMLab's blocks run several times in a pass; mmrazor takes the first time unless told otherwise."""
RENAMED = {'OFDTeacherConnector': dict(type='shake_mm.MarginReLU')}
"""Connectors that have a counterpart of ours; all others are mmrazor's own."""
SEVERAL = {'FBKDStudentConnector': 6}
"""Connectors whose loss reads all that they make, and how much that is."""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description="Translate a distillation config of mmrazor's")
    parser.add_argument('config', metavar='CONFIG', help="mmrazor's config, with `mmpretrain` where it says `mmcls`")
    parser.add_argument('out', metavar='OUT', help='the config to write')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT, whoever wrote it')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


def translated(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """A whole config of ours from one of mmrazor's: other model, hooks and validation, the same data and schedule.

    Args:
        cfg (Config): mmrazor's, its bases merged.

    Raises:
        UsageError: If something in it has no counterpart here.
    """
    mine = {key: value for key, value in cfg.items() if key != 'find_unused_parameters'}
    mine['model'] = translated_model(cfg['model'])
    if 'val_cfg' in mine:
        mine['val_cfg'] = {key: value for key, value in cfg['val_cfg'].items() if key != 'type'}
    hooks = list(cfg.get('custom_hooks') or ())
    for hook in [hook for hook in hooks if _plain(hook['type']) == 'StopDistillHook']:
        hooks.remove(hook)
        _stop(mine['model'], hook['stop_epoch'])
    ours = ('MemberEvalHook', 'StageHook', 'TeacherCacheHook', 'FiniteGuardHook')
    mine['custom_hooks'] = [*hooks, *(dict(type=f'shake_mm.{name}') for name in ours)]
    return mine


def translated_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """The ``model`` of our config from mmrazor's.

    Args:
        model (dict): mmrazor's algorithm: networks, recorders, connectors, losses and their mappings.

    Raises:
        UsageError: If something in it has no counterpart here.
    """
    if _plain(model['type']) not in ALGORITHMS:
        raise UsageError(f'model.type={model["type"]} has no counterpart: {", ".join(ALGORITHMS)} have; {GUIDE}.')
    distiller = model['distiller']
    if distiller.get('distill_deliveries'):
        raise UsageError(f'model.distiller.distill_deliveries has no counterpart: remove it; {GUIDE}.')
    alone = 'teacher' not in model
    connectors: dict[str, dict] = {}
    terms: dict[str, dict] = {} if model.get('calculate_student_loss', True) is False else {'task': {'of': 'student'}}
    if model.get('teacher_trainable'):
        terms['teacher_task'] = {'of': 'teacher0'}
    for name, mapping in distiller['loss_forward_mappings'].items():
        loss = distiller['distill_losses'][name]
        terms[name.removeprefix('loss_')] = _term(name, loss, mapping, distiller, alone, connectors)
    mine: dict[str, Any] = dict(type='shake_mm.Distiller', student=_network(model, 'architecture'), terms=terms)
    if not alone:
        mine['teachers'] = _network(model, 'teacher')
    if connectors:
        mine['connectors'] = connectors
    if model.get('student_trainable', True) is False:
        mine['stages'] = dict(main=dict(train=[*(['connectors'] if connectors else []), 'terms']))
    return mine


def _network(model: Mapping[str, Any], side: str) -> Any:
    """The entry of the student or the teacher: its config, and its weights where mmrazor loads some."""
    network = model[side]
    path = network.get('cfg_path')
    found: dict[str, Any] = dict(config=path or {k: v for k, v in network.items() if k != '_scope_'})
    if not path and '_scope_' in network:
        found['config']['_scope_'] = network['_scope_']
    whole = (model.get('init_cfg') or {}).get('checkpoint')
    if side == 'teacher' and model.get('teacher_ckpt'):
        found['checkpoint'] = model['teacher_ckpt']
    elif whole:  # of a former stage: both networks are in it
        found.update(checkpoint=whole, key=side)
    elif path and network.get('pretrained'):
        found['checkpoint'] = path  # the zoo's
    if side == 'teacher' and model.get('teacher_trainable'):
        found['trainable'] = True
    return found


def _term(
    name: str, loss: Mapping, mapping: Mapping[str, Mapping], distiller: Mapping, alone: bool, connectors: dict
) -> dict[str, Any]:
    """One term: what the loss compares, the connectors on the way, the loss itself."""
    records = [record for key, record in mapping.items() if key not in LABELS]
    if not 1 <= len(records) <= 2:
        raise UsageError(f'loss_forward_mappings.{name} has {len(records)} records, and a term one or two; {GUIDE}.')
    if len(records) == 2 and not records[0]['from_student'] and records[1].get('connector'):
        records.reverse()  # the side with the connector learns; such losses are symmetric
    sides = [_tap(record, distiller, alone) for record in records]
    term: dict[str, Any] = dict(of=sides[0])
    if len(sides) == 2:
        term['to'] = sides[1]
    if (used := records[0].get('connector')) is not None:
        connectors.setdefault(used, dict(source=sides[0], **_part(distiller['connectors'][used])))
        if connectors[used]['source'] != sides[0]:
            raise UsageError(f'connectors.{used} reads several taps: write one for each of them; {GUIDE}.')
        made = f'connectors.{used}' + _index(records[0].get('connector_idx'))
        number = SEVERAL.get(_plain(distiller['connectors'][used]['type']))
        term['of'] = [f'{made}[{i}]' for i in range(number)] if number else made
    if len(records) == 2 and (used := records[1].get('connector')) is not None:
        if records[1].get('connector_idx') is not None:
            raise UsageError(f"connectors.{used}: a teacher's `connector_idx` has no counterpart; {GUIDE}.")
        term['to_connector'] = _part(distiller['connectors'][used])
    return {**term, 'loss': _part(loss)}


def _tap(record: Mapping[str, Any], distiller: Mapping[str, Any], alone: bool) -> str:
    """The tap of a record: the member, the layer, which time that it runs, which element of what it returns."""
    student = record['from_student']
    recorder = distiller['student_recorders' if student else 'teacher_recorders'][record['recorder']]
    kind, source = _plain(recorder['type']), recorder['source']
    member = 'student' if student or alone else 'teacher0'
    if kind not in ('ModuleOutputs', 'ModuleInputs'):
        raise UsageError(f"{record['recorder']}: a recorder {kind} has no counterpart: tap a layer's output; {GUIDE}.")
    side = ':inputs' if kind == 'ModuleInputs' else ''
    turn = record.get('record_idx')
    if not side and (turn is not None or source.rpartition('.')[2] in ACTIVATIONS):
        side = f':each[{turn or 0}]'
    return f'{member}.{source}{side}{_index(record.get("data_idx"))}'


def _part(config: Any) -> dict[str, Any]:
    """A loss or a connector, which mmrazor's registry builds where no other is named."""
    if not isinstance(config, Mapping):
        raise UsageError(f'a connector that is a list has no counterpart: give one module that holds them; {GUIDE}.')
    kind = config['type']
    if kind in RENAMED:
        return dict(RENAMED[kind])
    return {**config, 'type': kind if '.' in kind else f'mmrazor.{kind}'}


def _stop(model: dict[str, Any], epoch: int) -> None:
    """Let the terms that distill end at an epoch."""
    own = [name for name, term in model['terms'].items() if 'loss' not in term]
    model['stages'] = dict(distill=dict(until=epoch), main=dict(terms=own, train=['student']))


def _index(index: int | None) -> str:
    return '' if index is None else f'[{index}]'


def _plain(kind: str) -> str:
    return kind.rpartition('.')[2]


def convert(args: argparse.Namespace) -> None:
    """Read, translate and write a config."""
    from mmengine.config import Config

    from shake_mm.outputs import claim

    out = Path(args.out)
    claim(out, 'OUT', args.overwrite, inputs=[args.config])
    mine = Config(translated(Config.fromfile(args.config)))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(mine.pretty_text)
    print(f'config      {out}\nterms       {", ".join(mine.model.terms)}')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    args = parse_args(argv)  # before anything is imported
    return cli.run(convert, args)


if __name__ == '__main__':
    sys.exit(main())
