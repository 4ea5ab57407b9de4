"""Mutated inputs: a config, a cache of logits, annotations, results or a run to go on from, with something changed."""

import io
import json
import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import yaml

from shake_mm.errors import UsageError
from shake_mm.safe_io import read
from tests.support.forged import mutated_checkpoint
from tests.support.mutation import VALUES, in_bytes, in_json, in_values

from .site import Site, coco, weights_of

LAST = 4
"""Optimizer steps after which a run counts as a right one."""
CACHE = 'logits'
"""The folder of a cache in a site."""
PAGE = 'page.md'
METHODS = ('baseline', 'kd', 'shake')
"""Methods of the runs whose results are tabulated, with accuracies of 90, 91 and 92 %."""


class Enough(UsageError):
    """Ends a run that trains as it should."""


class Mutant(NamedTuple):
    """A mutated input.

    Args:
        argv (list[str]): The command line.
        told (str): What was changed.
        lost (str): Of results, the run that was changed.
    """

    argv: list[str]
    told: str
    lost: str = ''


def config(site: Site, draw: random.Random, seed: int) -> Mutant:
    """One value of a config that works is replaced, taken out, or given another name; every second one distills."""
    argv = site.kd() if seed % 2 else site.plain()
    content: dict[str, Any] = {'inf': math.inf, 'nan': math.nan}
    exec((site.path / 'run.py').read_text(), {}, content)  # which the site has written itself
    unread = ('experiment_name', 'work_dir', 'inf', 'nan')  # or what only a test reads
    kept = {key: content.pop(key) for key in list(content) if key in unread or key.startswith('test_')}
    told = 'num_workers'
    while 'num_workers' in told:  # 97 of them take long to start
        told = in_values(content, draw)
    lines = ''.join(f'{key} = {value!r}\n' for key, value in {**content, **kept}.items() if key not in ('inf', 'nan'))
    lines = lines.replace(': nan', ": float('nan')").replace(': inf', ": float('inf')")
    site.write('run.py', lines.replace('= nan', "= float('nan')").replace('= inf', "= float('inf')"))
    return Mutant(argv, told)


def cached(site: Site, whole: dict[str, bytes]) -> list[str]:
    """Distill with the teacher's logits from a cache that is there.

    Args:
        site (Site): Where.
        whole (dict[str, bytes]): The files of the cache; none to fill a new one.
    """
    for name, content in whole.items():
        site.write(f'{CACHE}/{name}', content)
    options = '--cache-teachers', str(site.path / 'caches')
    return site.kd({'model.teachers.0.cache': str(site.path / CACHE)}, *options)


def cache(site: Site, draw: random.Random, whole: dict[str, bytes]) -> Mutant:
    """A cache of logits of which a file is changed, gone, or not a file."""
    argv, folder = cached(site, whole), site.path / CACHE
    name = draw.choice(('key.json', 'logits.f16'))
    path, kind = folder / name, draw.choice((*4 * ['content'], 'gone', 'link', 'folder', 'long'))
    told = f'{name}: {kind}'
    if kind == 'content' and name == 'key.json':
        content, what = in_json(whole[name], draw)
        path.write_bytes(content)
        told += f' {what}'
    elif kind == 'content':
        path.write_bytes(in_bytes(whole[name], draw))
    elif kind == 'long':
        path.write_bytes(whole[name] * 2)
    else:
        path.unlink()
        if kind == 'link':
            path.symlink_to(site.write('precious', whole[name] if draw.random() < 0.5 else b'precious'))
        elif kind == 'folder':
            path.mkdir()
    return Mutant(argv, told)


def annotations(site: Site, draw: random.Random, seed: int) -> Mutant:
    """A file of annotations, in COCO's format, as a list of lines, in mmengine's format as JSON or YAML, or pickled."""
    kind = ('coco', 'json', 'lines', 'coco', 'yaml', 'json', 'coco', 'pkl')[seed % 8]
    if kind == 'coco':
        content, told = in_json(json.dumps(coco()).encode(), draw)
        return Mutant(site.scenes(break_it=lambda _: content), f'coco: {told}')
    lines = [f'class{i % 2}/{i}.png {i % 2}' for i in range(4)]
    if kind == 'lines':
        content = in_bytes(''.join(f'{line}\n' for line in lines).encode(), draw)
        listing = site.write('list.txt', content)
        changes = {'train_dataloader.dataset.ann_file': listing, 'train_dataloader.dataset.classes': ['a', 'b']}
        return Mutant(site.folder(changes), f'lines: {content!r}')
    rows = [dict(img_path=str(site.path / 'data' / line.split()[0]), gt_label=int(line.split()[1])) for line in lines]
    whole = dict(metainfo=dict(classes=['a', 'b']), data_list=rows)
    if kind == 'json':
        content, told = in_json(json.dumps(whole).encode(), draw)
    elif kind == 'yaml':
        told = in_values(whole, draw) if draw.random() < 0.5 else 'bytes'
        content = yaml.safe_dump(json.loads(json.dumps(whole))).encode()
        content = in_bytes(content, draw) if told == 'bytes' else content
    else:
        content, told = in_bytes(b'\x80\x04}\x94.', draw), 'bytes'
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    dataset = dict(type='mmpretrain.BaseDataset', ann_file=site.write(f'list.{kind}', content), pipeline=pipeline)
    return Mutant(site.folder({'train_dataloader.dataset': dataset}), f'{kind}: {told}')


def results(site: Site, draw: random.Random, seed: int) -> Mutant:
    """The results of three runs, of which something was changed in one, or in the record of the grid."""
    for i, method in enumerate(METHODS):
        name, row = f'{method}_resnet14_resnet8_digits100', {'accuracy/top1': 90.0 + i, 'teacher/top1': 97.0, 'step': 1}
        training = {'loss': 1.0, 'time': 0.1, 'epoch': 1, 'iter': 1, 'step': 1}
        text = "model = dict(type='x', student=dict())\ntrain_cfg = dict(max_epochs=1)\nrandomness = dict(seed=0)\n"
        site.write(f'grid/{method}/{name}.py', text)
        logged = ''.join(json.dumps(part) + '\n' for part in (training, row))
        site.write(f'grid/{method}/20260101_000000/vis_data/scalars.json', logged)
        site.write(f'grid/{method}/last_checkpoint', f'grid/{method}/epoch_1.pth')
    site.write('grid/grid.json', json.dumps(dict(sessions=[_session()])))
    lost = draw.choice(METHODS)
    (config,) = (site.path / 'grid' / lost).glob('*.py')
    path = draw.choice(
        [site.path / 'grid' / 'grid.json', config, site.path / 'grid' / lost / 'last_checkpoint']
        + 3 * [site.path / 'grid' / lost / '20260101_000000' / 'vis_data' / 'scalars.json']
    )
    if path.suffix == '.json' and draw.random() < 0.6:
        first, newline, rest = path.read_bytes().partition(b'}\n')
        content, told = in_json(first + newline, draw)
        content = content.rstrip(b'\n') + newline[1:] + rest
    else:
        content, told = in_bytes(path.read_bytes(), draw), 'bytes'
    path.write_bytes(content)
    lost = '' if path.name in ('grid.json', 'last_checkpoint') else lost
    return Mutant([str(site.path / 'grid'), '--out', str(site.path / PAGE)], f'{path.name}: {told}', lost)


def _session() -> dict[str, Any]:
    machine = dict(hardware='CPU', cores=2, load_average=0.1, device='cpu', torch='2')
    return dict(command='python x', seconds=60.0, trained=3, commit='abc', versions=dict(python='3'), machine=machine)


STOPPED = {
    'param_scheduler': [dict(type='MultiStepLR', milestones=[1], gamma=0.5)],
    'default_hooks.checkpoint.save_best': 'accuracy/top1',
}
"""What the run has beside the plain one, a run of which is gone on from."""


def stopped(site: Site) -> list[str]:
    """A run of one epoch, from whose checkpoint others go on."""
    return site.plain({**STOPPED, 'train_cfg.max_epochs': 1})


def resumed(site: Site, draw: random.Random, first: bytes) -> Mutant:
    """A work directory to go on from, of which the checkpoint, or the file that names it, is changed."""
    changes = {**STOPPED, 'train_cfg.max_epochs': 2}
    if draw.random() < 0.2:
        site.write('earlier/epoch_1.pth', first)
        name = in_bytes(str(site.work / 'epoch_1.pth').encode(), draw)
        site.write('earlier/last_checkpoint', name)
        return Mutant(site.plain(changes, '--resume'), f'last_checkpoint: {name!r}')
    content = read(io.BytesIO(first))
    parts = {'checkpoint': content, **content, 'message_hub': content['message_hub']['runtime_info']}
    part = draw.choice(('checkpoint', 'optimizer', 'param_schedulers', 'message_hub', 'meta', 'state_dict'))
    told = in_values(parts[part], draw, (*VALUES, torch.ones(2), torch.full((1,), math.nan)))
    return Mutant(site.plain(changes, '--resume', site.save(content, 'changed.pth')), f'{part}.{told}')


def weights(site: Site, draw: random.Random, seed: int) -> Mutant:
    """Bytes of a checkpoint: a teacher's, or one to start from."""
    teacher = seed % 2
    path = site.write('changed.pth', mutated_checkpoint(weights_of(8 if teacher else 6), draw, seed % 4 > 1))
    changes = {'model.teachers.0.checkpoint': path} if teacher else {'load_from': path}
    return Mutant((site.kd if teacher else site.plain)(changes), 'teacher' if teacher else 'load_from')


KINDS: dict[str, Callable[[Site, random.Random, Any], Mutant]] = {
    'config': config,
    'cache': cache,
    'annotations': annotations,
    'results': results,
    'resumed': resumed,
    'weights': weights,
}
"""What is changed, and how."""
TOOLS = {'results': 'analysis.build_table'}
"""What reads it, where that is not the training."""
