"""Bad inputs: where results go to, grids of runs, and settings of the command line."""

import errno
import os
from collections.abc import Callable

from shake_mm.locks import FILE

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


def _seat(*options: str) -> Callable[[Site], list[str]]:
    return lambda site: site.kd({}, '--share-teacher', str(site.path / '0'), *options)


def _data_seed(site: Site) -> list[str]:
    return site.plain({'train_cfg.data_seed': -1}, '--exact')


def _results(*options: str) -> Callable[[Site], list[str]]:
    def prepare(site: Site) -> list[str]:
        site.write('mine', 'precious')
        site.write('mine.md', 'precious')
        site.write('mine.png', 'precious')
        (site.path / 'link.md').symlink_to(site.path / 'gone.md')
        return [str(site.work), *options]

    return prepare


def _report(*options: str, page: str = '') -> Callable[[Site], list[str]]:
    def prepare(site: Site) -> list[str]:
        site.write('run/1/vis_data/scalars.json', '{"loss": 1.0, "time": 0.1, "epoch": 1, "step": 1}\n')
        if page:
            site.write(f'out/{page}', 'precious')
        return [str(site.path / 'run'), '--out', str(site.path / 'out'), *options]

    return prepare


def _measured(tool: str) -> Case:
    def prepare(site: Site) -> list[str]:
        config = site.plain()[0]
        return [*(['--pair'] if tool == 'compare_steps' else []), config, '--out', site.write('mine.json', '{"a": 1}')]

    words = 'mine.json exists and was not written', 'or allow it by --overwrite'
    return Case('command line', f'figures over another file ({tool})', prepare, *words, f'benchmarks.{tool}')


def _lock(make: Callable[[Site], None]) -> Callable[[Site], list[str]]:
    def prepare(site: Site) -> list[str]:
        site.write('precious', 'mine')
        make(site)
        return site.plain()

    return prepare


def _swept(site: Site) -> list[str]:
    site.write('sweep/configs/shake-tau1-lam1_a_b.py', 'mine = 1')
    config = site.write('shake_a_b.py', "model = dict(type='shake_mm.SHAKE', setting='paper')\n")
    return [config, '--tau', '1', '--lam', '1', '--work-dir', str(site.path / 'sweep')]


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
    Case(
        *('command line', 'a grid of no teacher to share', _grid('--share-teacher'), '--share-teacher', '--data-seed'),
        'run_grid',
    ),
    Case('command line', 'a seed of data for nobody', _grid('--data-seed', '1'), '--data-seed', 'both', 'run_grid'),
    Case('command line', 'a place in no group', _seat('--exact'), '--share-teacher', 'tools/run_grid.py'),
    Case('command line', 'a shared teacher without --exact', _seat(), '--share-teacher', '--exact alone: add it'),
    Case('command line', 'a seed of data that is none', _data_seed, 'data_seed=-1', 'whole number'),
    Case('command line', 'brackets that nest too deep', _set('a=' + '[' * 99 + ']' * 99), 'a=[', 'key=value'),
    Case('command line', 'a bracket inside of a word', _set('a=x(1,2'), 'a=x(1,2', 'key=value'),
    Case(
        'command line',
        'a table over another file',
        _results('--out', 'mine'),
        'mine exists and was not written',
        'or allow it by --overwrite',
        'analysis.build_table',
    ),
    Case(
        'command line',
        'a plot over another file',
        _results('--plot', 'mine.png'),
        'mine.png exists and was not written',
        'or allow it by --overwrite',
        'analysis.build_table',
    ),
    Case(
        'command line',
        'a study over another file',
        _results('--study', 'table1', '--pair', 'a_b', '--out', 'mine.md'),
        'mine.md exists and was not written',
        'or allow it by --overwrite',
        'analysis.build_study',
    ),
    Case(
        'command line',
        'a table through a link',
        _results('--out', 'link.md', '--overwrite'),
        'link.md is a link',
        'name another file',
        'analysis.build_table',
    ),
    Case(
        'command line',
        'a plot of a kind that is not drawn',
        _results('--plot', 'new.bmp'),
        'new.bmp must end in .png',
        'name such an image',
        'analysis.build_table',
    ),
    Case(
        'command line',
        'table and plot in one file',
        _results('--plot', 'new.png', '--out', './new.png'),
        'new.png is the file of --out too',
        'name another',
        'analysis.build_table',
    ),
    Case(
        'command line',
        'a sweep over a config of others',
        _swept,
        'shake-tau1-lam1_a_b.py exists and was not written',
        'name another place',
        'analysis.sweep',
    ),
    Case(
        'command line',
        'a report over another page',
        _report('--images', '0', page='report.html'),
        'report.html exists and was not written',
        'or allow it by --overwrite',
        'report',
    ),
    Case(
        'command line',
        'a report over another picture',
        _report('--images', '0', page='time.png'),
        'time.png exists and was not written',
        'or allow it by --overwrite',
        'report',
    ),
    Case('command line', 'a report of less than nothing', _report('--images', '-1'), '--images -1', 'from 0', 'report'),
    Case(
        'command line',
        'a report of no run',
        lambda site: [str(site.path / 'gone')],
        'WORK_DIR',
        'name the folder of a run',
        'report',
    ),
    *map(_measured, ('compare_steps', 'compare_pipelines', 'compare_teachers')),
    Case(
        'environment',
        'a lock that is a link',
        _lock(lambda site: (site.work / FILE).symlink_to(site.path / 'precious')),
        f'{FILE} is no file',
        'remove it, or name another folder',
    ),
    Case(
        'environment',
        'a lock that is a hard link',
        _lock(lambda site: (site.work / FILE).hardlink_to(site.path / 'precious')),
        f'{FILE} is another file too',
        'remove it, or name another folder',
    ),
    Case('environment', 'a lock that is a folder', _lock(lambda site: (site.work / FILE).mkdir()), FILE, 'remove it'),
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
