"""Try one network of every family of a zoo: ``python tools/misc/sweep_zoo.py --task cls [--family resnet vgg]``.

Each network, with random weights, is its own teacher: KD must be 0, SHAKE must make a step, and the exported student
must answer as the distilled one. A line is printed for each: ``works``, ``refused`` with the sentence, or ``fault``.
With ``--write`` the rows of ``docs/zoo.md`` are replaced by what was found.
"""

import argparse
import copy
import logging
import math
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--task', choices=('cls', 'det'), required=True)
    parser.add_argument('--family', nargs='*', help='folders of configs; all by default')
    parser.add_argument('--write', action='store_true', help='write docs/zoo.md')
    parser.add_argument('--limit', type=int, default=180, help='seconds for a network')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # `--help` need not wait for what follows

import torch  # noqa: E402
from mmengine.config import Config, ConfigDict  # noqa: E402
from mmengine.logging import MessageHub  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from torch import nn  # noqa: E402
from zoo_networks import PACKAGES, SIZES, batch, candidates, config_of, families, quiet  # noqa: E402

from shake_mm.errors import UsageError  # noqa: E402
from shake_mm.export import export_student  # noqa: E402
from shake_mm.registry import MODELS  # noqa: E402
from shake_mm.tasks import task_of  # noqa: E402

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'zoo.md'
TITLES = {'cls': "mmpretrain's classifiers", 'det': "mmdet's detectors"}
EQUAL = 1e-5
"""What KD of equal networks may be, relative to the student's own loss or 1: rounding."""


class Found(NamedTuple):
    """What became of a network.

    Args:
        config (str): Its config, below the zoo's folder.
        kd (str): ``works``, ``refused: …``, ``fault: …``, or ``not run: …`` where the plain network does not run.
        shake (str): Likewise; ``works with …`` where it is the mend that a refusal names.
        export (str): Likewise.
    """

    config: str
    kd: str
    shake: str = '–'
    export: str = '–'


def try_family(task: str, family: str, limit: int = 180) -> Found | None:
    """Try the first network of a family; None if it has none that is trained with labels."""
    found = config_of(task, family)
    if found is None:
        return None
    name, model = found
    scope = DefaultScope.overwrite_default_scope(PACKAGES[task])
    with warnings.catch_warnings(), scope, _limited(limit):
        warnings.simplefilter('ignore')
        try:
            return _try(task, name, model)
        except TimeoutError:
            return Found(name, f'not run: no end after {limit} s')


def _try(task: str, name: str, model: dict) -> Found:
    for key in ('epoch', 'iter'):  # what a run tells heads that ask for it (TOOD)
        MessageHub.get_current_instance().update_info(key, 0)
    plain, config, data, reason = None, {}, {}, 'no size fits'
    for config in candidates(model, task):
        plain, data, reason = _plain(task, config)
        if plain is not None:
            break
    if plain is None:
        return Found(name, f'not run: {reason}')
    kd = _outcome(lambda: _kd(config, plain, data))
    shake = _outcome(lambda: _shake(config, plain, data))
    if 'ShadowNetwork' in shake and shake.startswith('refused'):
        mended = _outcome(lambda: _shake(config, plain, data, proxies=dict(type='ShadowNetwork')))
        shake = 'works with `ShadowNetwork`' if mended == 'works' else mended
    # What is written does not depend on the method: a student that KD trains is exported.
    export = _outcome(lambda: _export(config, plain)) if kd == 'works' else '–'
    return Found(name, kd, shake, export)


def _plain(task: str, config: dict) -> tuple[nn.Module | None, dict, str]:
    """The plain network with a batch of the smallest pictures whose losses it computes, or why there is none."""
    reason = ''
    try:
        torch.manual_seed(0)
        network = _built(config)
        known = task_of(network)
    except Exception as error:
        return None, {}, _line(error)
    own = (config.get('backbone') or {}).get('img_size')
    for size in [own] if isinstance(own, int) else SIZES[task]:
        means = len(network.data_preprocessor.mean) if getattr(network.data_preprocessor, '_enable_normalize', 0) else 3
        data = batch(task, size, min(known.num_classes(network) or 2, 10), means)
        try:
            losses = network.train()(**network.data_preprocessor(copy.deepcopy(data), True), mode='loss')
            total, _ = network.parse_losses(losses)
            total.backward()
            network.zero_grad()
            if not total.isfinite():
                return None, {}, f'its loss is {float(total)}'
            return network, data, ''
        except TimeoutError:
            raise
        except Exception as error:  # too small, most of all
            reason = _line(error)
    return None, {}, reason


def _step(model: nn.Module, data: dict) -> dict[str, torch.Tensor]:
    """A training step; its losses by name."""
    model.train()
    quiet(model)
    losses = model(**model.data_preprocessor(copy.deepcopy(data), True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    model.zero_grad()
    return losses


def _teacher(config: dict, plain: nn.Module) -> nn.Module:
    teacher = _built(config)
    teacher.load_state_dict(plain.state_dict())
    return teacher


def _built(config: dict) -> nn.Module:
    network = MODELS.build(ConfigDict(copy.deepcopy(config)))
    network.init_weights()  # some weights are no numbers before (TridentNet), some layers come with it (DDQ)
    return network


def _kd(config: dict, plain: nn.Module, data: dict) -> None:
    teacher = _teacher(config, plain)
    model = MODELS.build(dict(type='shake_mm.KD', student=copy.deepcopy(config), teachers=teacher))
    model.student.load_state_dict(plain.state_dict())
    value = float(_step(model, data)['loss_student_from_teacher'].detach())
    if not abs(value) <= EQUAL:
        raise AssertionError(f'KD of equal networks is {value:.2g}')


def _shake(config: dict, plain: nn.Module, data: dict, **kwargs: Any) -> None:
    teacher = _teacher(config, plain)
    model = MODELS.build(dict(type='shake_mm.SHAKE', student=copy.deepcopy(config), teachers=teacher, **kwargs))
    model.student.load_state_dict(plain.state_dict())
    losses = _step(model, data)
    for key in ('student_from_proxy', 'proxy_from_teacher', 'proxy_from_student'):
        value = float(losses[f'loss_{key}'].detach())
        if not math.isfinite(value):
            raise AssertionError(f'the term {key} is {value}')
    if not any(True for _ in model.proxies.parameters()):
        raise AssertionError('the proxy has no layers')


def _export(config: dict, plain: nn.Module) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = {f'student.{key}': value for key, value in plain.state_dict().items()}
        torch.save({'state_dict': state, 'meta': {}}, f'{folder}/epoch_1.pth')
        model = dict(type='shake_mm.KD', student=copy.deepcopy(config), teachers=[])
        export_student(Config(dict(model=model, default_scope=config['_scope_'])), f'{folder}/epoch_1.pth', folder)


def _outcome(run: Any) -> str:
    try:
        run()
        return 'works'
    except TimeoutError:
        raise
    except UsageError as error:
        return f'refused: {error}'
    except Exception as error:
        logging.debug(traceback.format_exc())
        return f'fault: {_line(error)}'


def _line(error: BaseException) -> str:
    return f'{type(error).__name__}: {" ".join(str(error).split())[:150]}'


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def write_page(task: str, found: Sequence[Found], page: Path = PAGE) -> None:
    """Replace the rows of these configs in the page, and keep the others."""
    rows: dict[str, dict[str, tuple[str, ...]]] = {key: {} for key in TITLES}
    current = task
    for line in page.read_text(encoding='utf-8').splitlines() if page.exists() else ():
        current = next((key for key, title in TITLES.items() if line == f'## {title}'), current)
        if line.startswith('| `'):
            cells = [cell.strip() for cell in line.strip('|').split(' | ')]
            rows[current][cells[0].strip('`')] = tuple(cells[1:])
    for entry in found:
        rows[task][entry.config] = tuple(cell.replace('|', '/') for cell in entry[1:])
    text = [HEAD]
    for key, title in TITLES.items():
        text += [f'## {title}', '', _summary(rows[key]), '', '| config | KD | SHAKE | export |', '|---|---|---|---|']
        text += [f'| `{name}` | {" | ".join(cells)} |' for name, cells in sorted(rows[key].items())] + ['']
    page.write_text('\n'.join(text).rstrip() + '\n', encoding='utf-8')


HEAD = """# The zoos, tried

`python tools/misc/sweep_zoo.py --task cls --write` (or `det`) writes this page, a row for each config as it is tried;
families without a row were not tried yet. The smallest config of a family, with random weights and fewer channels where
it is large, is its own teacher in one training step of KD and SHAKE by the README's lines. `works` means: KD of the
equal networks is 0 (1e-5), SHAKE's terms are finite and its proxy has layers of its own, and the exported student
answers as the distilled one. `not run`: the plain network makes no step here.
"""


def _summary(rows: dict[str, tuple[str, ...]]) -> str:
    run = [cells for cells in rows.values() if not cells[0].startswith('not run')]
    words = [f'{len(rows)} configs, of which {len(run)} run as they are.']
    for column, name in enumerate(('KD', 'SHAKE', 'export')):
        counts = {kind: sum(cells[column].startswith(kind) for cells in run) for kind in ('works', 'refused', 'fault')}
        words.append(f'{name}: {", ".join(f"{number} {kind}" for kind, number in counts.items())}.')
    return ' '.join(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep, print, and with ``--write`` write the page; 1 if there was a fault."""
    args = parse_args(arguments)
    logging.disable(logging.WARNING)
    found = []
    for family in args.family or families(args.task):
        start = time.time()
        entry = try_family(args.task, family, args.limit)
        if entry is not None:
            found.append(entry)
            line = f'{entry.config} | KD {entry.kd} | SHAKE {entry.shake} | export {entry.export}'
            print(f'{line} | {time.time() - start:.0f} s', flush=True)
            if args.write:
                write_page(args.task, [entry])
    return int(any('fault' in cell for entry in found for cell in entry[1:]))


if __name__ == '__main__':
    raise SystemExit(main())
