"""List the taps of a config's networks: ``python -m shake_mm taps CONFIG``.

Every tap of student and teachers with its shape, the pairs that fit each other, and the line of a config for each. No
weights are read, and nothing is trained.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..engine.listing import Listed, Pair, list_taps, pairs_of
from ..errors import UsageError
from ..members import Members, MemberSpec, build_members
from . import common
from .parsers import parse_taps as parse_args


def show(args: argparse.Namespace) -> None:
    """Print the tables and the lines."""
    cfg = common.load_config(args.config, args.cfg_options)
    if cfg.get('model') is None:
        raise UsageError(f'config {args.config} has no `model`: give that of a run.')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        listed = list_taps(_members(cfg, args.teacher), cfg.model.get('input_size'))
    pairs = list(pairs_of(listed))
    for name, (short, layers) in listed.items():
        shown = [tap for tap in layers if tap.tap.count('.') <= args.depth]
        print(*_rows(name, [*short, *shown], pairs), sep='\n')
        if len(shown) < len(layers):
            print(f'{len(layers) - len(shown)} deeper layers of {name}: --depth {args.depth + 1}, or more.')
        print()
    if len(listed) == 1:
        print('No teacher: --teacher CONFIG lists one beside it, and the pairs that fit.')
        return
    print('Pairs that fit (*), each with its line in `terms`:' if pairs else 'No pair fits as it is.')
    for pair in pairs:
        print(f'    {pair.line}')


def _members(cfg: Config, teacher: str | None) -> Members:
    """The networks of a config without their weights."""
    model: dict[str, Any] = dict(cfg.model)
    own, teachers = (model['student'], model.get('teachers') or []) if 'student' in model else (model, [])
    teachers = [teachers] if isinstance(teachers, dict | str) else list(teachers)
    built = []
    for i, entry in enumerate([teacher] if teacher else teachers):
        spec = MemberSpec.parse(f'teacher{i}', entry)
        # A network that is built needs no checkpoint.
        built.append({'config': spec.build(), 'taps': spec.taps, 'resize': spec.resize})
    return build_members(own, built, cfg.get('data_preprocessor'), model.get('task'))


def _rows(name: str, taps: Sequence[Listed], pairs: Sequence[Pair]) -> Iterator[str]:
    """The lines of a member's table."""
    fitting = {tap.tap for pair in pairs for tap in (pair.student, pair.teacher)}
    rows = [(f'tap of {name}', 'stride', 'fits', 'shape')]
    for tap in taps:
        often = '' if tap.times == 1 else f', {tap.times} times'
        stride = '' if tap.stride is None else f'{tap.stride:.3g}'
        rows.append((tap.tap, stride, '*' if tap.tap in fitting else '', f'{_told(tap.shape)}{often}'))
    wide = max(len(row[0]) for row in rows)
    for tap_name, stride, fits, shape in rows:
        yield f'{tap_name:<{wide}}  {stride:>6}  {fits:<4}  {shape}'


def _told(shape: Any) -> str:
    if isinstance(shape, list):
        return ', '.join(map(_told, shape))
    return '?' if shape is None else 'x'.join(map(str, shape)) or '-'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(show, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
