"""Bad inputs: where results go to, grids of runs, and settings of the command line."""

import errno
import os
from collections.abc import Callable

from .case import Case
from .site import Site, weights_of


def _export(out: str, full: bool = False) -> Callable[[Site], list[str]]:
    def prepare(site: Site) -> list[str]:
        def no_space(handle: int) -> None:
            raise OSError(errno.ENOSPC, 'No space left on device')

        if full:
            site.patch.setattr(os, 'fsync', no_space)
        site.write('file', 'a file')
        return [site.kd()[0], site.write('good.pth', weights_of(6)), out]

    return prepare


def _grid(*options: str) -> Callable[[Site], list[str]]:
    def prepare(site: Site) -> list[str]:
        return [site.plain()[0], '--work-dir', str(site.path / 'grid'), *options]

    return prepare


def _set(*pairs: str) -> Callable[[Site], list[str]]:
    return lambda site: site.plain({}, '--cfg-options', *pairs)


CASES = [
    Case('environment', 'an export onto a full disk', _export('out', True), 'out', 'free some space', 'export_student'),
    Case('environment', 'an export below a file', _export('file/out'), 'file', 'another folder', 'export_student'),
    Case('environment', 'an export over a file', _export('file'), 'file', 'another folder', 'export_student'),
    Case('environment', 'an export to no place', _export('/proc/out'), '/proc/out', 'path', 'export_student'),
    Case('command line', 'a grid of 0 jobs', _grid('--jobs', '0'), '--jobs', '1 or more', 'run_grid'),
    Case('command line', 'a grid of -2 jobs', _grid('--jobs', '-2'), '--jobs', '1 or more', 'run_grid'),
    Case('command line', 'a grid of jobs in words', _grid('--jobs', 'all'), '--jobs', '--help', 'run_grid'),
    Case('command line', 'a grid of seeds in words', _grid('--seeds', 'a'), '--seeds', '--help', 'run_grid'),
    Case('command line', 'a grid of no config', lambda s: [], 'CONFIG', '--help', 'run_grid'),
    Case('command line', 'a grid of a config that is gone', lambda s: ['gone.py'], 'gone.py', 'correct', 'run_grid'),
    Case('command line', 'a grid with a setting alone', _grid('--cfg-options', 'x'), "'x'", 'correct', 'run_grid'),
    Case('command line', 'a grid into a value', _grid('--cfg-options', 'model.type.x=1'), 'run', 'correct', 'run_grid'),
    Case('command line', 'brackets that nest too deep', _set('a=' + '[' * 99 + ']' * 99), 'a=[', 'key=value'),
    Case('command line', 'a bracket inside of a word', _set('a=x(1,2'), 'a=x(1,2', 'key=value'),
    Case('command line', 'a setting without a key', _set('=1'), '=1', 'key=value'),
    Case('command line', 'a setting with half a key', _set('model.=1'), 'model.=1', 'key=value'),
    Case(
        'command line',
        'a path with spaces to nowhere',
        _set('load_from=/my (1,2) data/a.pth'),
        '/my (1,2) data',
        'path',
    ),
    Case('command line', 'a place in a list that it lacks', _set('custom_hooks.9.type=X'), '--cfg-options', 'correct'),
]
