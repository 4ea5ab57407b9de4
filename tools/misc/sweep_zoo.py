"""Try one network of every family of a zoo: ``python tools/misc/sweep_zoo.py --task cls [--family resnet vgg]``.

Each network, with random weights, is its own teacher: KD must be 0, SHAKE must make a step, and the exported student
must answer as the distilled one. A line is printed for each: ``works``, ``refused`` with the sentence, or ``fault``.
With ``--write`` the rows of ``docs/zoo.md`` are replaced by what was found.
"""

import argparse
import copy
import importlib
import json
import logging
import math
import multiprocessing
import re
import resource
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from zoo_page import TITLES, Found, write_page


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--task', choices=tuple(TITLES), required=True)
    parser.add_argument('--family', nargs='*', help='folders of configs; all by default')
    parser.add_argument('--write', action='store_true', help='write docs/zoo.md')
    parser.add_argument('--rows', type=Path, help='JSON lines to add the rows to; networks in it are not tried again')
    parser.add_argument('--jobs', type=int, default=1, help='networks at a time')
    parser.add_argument('--limit', type=int, default=180, help='seconds of a processor for a network')
    parser.add_argument('--memory', type=int, default=8, help='GiB for a network')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # `--help` need not wait for what follows

import torch  # noqa: E402
from mmengine.config import Config, ConfigDict  # noqa: E402
from mmengine.logging import MessageHub  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from torch import nn  # noqa: E402
from zoo_networks import PACKAGES, SIZES, batch, candidates, networks, quiet  # noqa: E402

from shake_mm.compat import configs_dir  # noqa: E402
from shake_mm.errors import UsageError  # noqa: E402
from shake_mm.export import export_student  # noqa: E402
from shake_mm.registry import MODELS  # noqa: E402
from shake_mm.tasks import task_of  # noqa: E402

_FORK = multiprocessing.get_context('fork')
EQUAL = 1e-5
"""What KD of equal networks may be, relative to the student's own loss or 1: rounding."""


def try_network(task: str, name: str, model: dict) -> Found:
    """Try a network of a zoo, by the name and the content of its config."""
    with warnings.catch_warnings(), DefaultScope.overwrite_default_scope(PACKAGES[task]):
        warnings.simplefilter('ignore')
        return _try(task, name, model)


def _try(task: str, name: str, model: dict) -> Found:
    for key in ('epoch', 'iter'):  # what a run tells heads that ask for it (TOOD)
        MessageHub.get_current_instance().update_info(key, 0)
    plain, config, data, kd = None, {}, {}, ''
    for config in candidates(model, task):
        plain, data, kd = _begin(task, config)
        if plain is not None:
            break
    if plain is None:
        return Found(name, f'not run: {kd}')
    shake = _outcome(lambda: _shake(config, plain, data))
    if 'ShadowNetwork' in shake and shake.startswith('refused'):
        mended = _outcome(lambda: _shake(config, plain, data, proxies=dict(type='ShadowNetwork')))
        shake = 'works with `ShadowNetwork`' if mended == 'works' else mended
    if kd.startswith('refused: '):
        kd += _mended(config, plain, data, kd) + _by_methods(plain, data, kd)
    export = _outcome(lambda: _export(config, plain))
    return Found(name, kd, shake, export)


def _begin(task: str, config: dict) -> tuple[nn.Module | None, dict, str]:
    """The plain network, a batch of the smallest pictures that it learns from, and KD's outcome; or why it does not."""
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
        # A plain RTMDet takes masks, where there are any, for its own.
        data = batch(task, size, min(known.num_classes(network) or 2, 10), means, masks='mask' in str(config))
        kd = _outcome(lambda data=data: _kd(config, network, data))
        try:
            if kd != 'works':
                _learn(copy.deepcopy(network), data)  # a CondInst that made a step cannot be copied
            return network, data, kd
        except NotImplementedError as error:
            return None, {}, _line(error)
        except Exception as error:  # too small, most of all
            reason = _line(error)
    return None, {}, reason


def _learn(network: nn.Module, data: dict) -> None:
    """A training step of a plain network."""
    network.train()
    losses = network(**network.data_preprocessor(copy.deepcopy(data), True), mode='loss')
    total, _ = network.parse_losses(losses)
    total.backward()
    if not total.isfinite():
        raise NotImplementedError(f'its loss is {float(total)}')


def _step(model: nn.Module, data: dict) -> dict[str, torch.Tensor]:
    """A training step; its losses by name."""
    model.train()
    quiet(model)
    losses = model(**model.data_preprocessor(copy.deepcopy(data), True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    model.zero_grad()
    return losses


def _built(config: dict) -> nn.Module:
    network = MODELS.build(ConfigDict(copy.deepcopy(config)))
    network.init_weights()  # some weights are no numbers before (TridentNet), some layers come with it (DDQ)
    return network


def _kd(config: dict, plain: nn.Module, data: dict) -> None:
    model = dict(type='shake_mm.KD', student=copy.deepcopy(config), teachers=copy.deepcopy(plain))
    _equal(model, plain, data, 'student_from_teacher')


def _equal(config: dict, plain: nn.Module, data: dict, term: str) -> None:
    """Make a step with a student that equals its teacher, of whom it learns nothing."""
    model = MODELS.build(config)
    model.student.load_state_dict(plain.state_dict(), strict=False)  # a Swin v2 takes some of it from its state dict
    value = float(_step(model, data)[f'loss_{term}'].detach())
    if not abs(value) <= EQUAL:
        raise AssertionError(f'{term} of equal networks is {value:.2g}')


def _mended(config: dict, plain: nn.Module, data: dict, refusal: str) -> str:
    """What becomes of features where a refusal tells to distill them, to go behind it."""
    found = re.search(r"of='student\.(\S+)'", refusal)
    level = found[1] if found else 'f1' if 'distill features' in refusal else None
    if level is None:
        return ''
    hint = dict(of=f'student.{level}', to=f'teacher0.{level}', loss=dict(type='FitNetsLoss'))
    terms, teacher = dict(task=dict(of='student'), hint=hint), copy.deepcopy(plain)

    def step() -> None:
        model = dict(type='shake_mm.Distiller', student=copy.deepcopy(config), teachers=[teacher], terms=terms)
        _equal(model, plain, data, 'hint')

    outcome = _outcome(step)
    return ' (So it works.)' if outcome == 'works' else f' (So it does not: {outcome})'


def _by_methods(plain: nn.Module, data: dict, refusal: str) -> str:
    """What becomes of a step of each method that a refusal names."""

    def step(name: str) -> None:
        model = Config.fromfile(f'{configs_dir()}/_base_/methods/{name}.py').method
        model.update(student=copy.deepcopy(plain), teachers=[copy.deepcopy(plain)])
        if not all(v.isfinite() for key, v in _step(MODELS.build(model), data).items() if key.startswith('loss_')):
            raise AssertionError(f'a loss of {name} is no number')

    return ''.join(f' (`{n}`: {_outcome(lambda n=n: step(n))})' for n in re.findall(r'methods/(\w+)\.py', refusal))


def _shake(config: dict, plain: nn.Module, data: dict, **kwargs: Any) -> None:
    teacher = copy.deepcopy(plain)
    model = MODELS.build(dict(type='shake_mm.SHAKE', student=copy.deepcopy(config), teachers=teacher, **kwargs))
    model.student.load_state_dict(plain.state_dict(), strict=False)  # a Swin v2 takes some of it from its state dict
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
    except UsageError as error:
        return f'refused: {error}'
    except Exception as error:
        logging.debug(traceback.format_exc())
        return f'fault: {_line(error)}'


def _line(error: BaseException) -> str:
    return f'{type(error).__name__}: {" ".join(str(error).split())[:150]}'


class Trial:
    """A network that is tried in a process of its own, which may end badly.

    Args:
        name (str): The network's config.
        model (dict): Its content.
        args (argparse.Namespace): The task, and limits of time and memory.
    """

    def __init__(self, name: str, model: dict, args: argparse.Namespace) -> None:
        self.name, self.start = name, time.time()
        self.answer, answer = _FORK.Pipe(duplex=False)
        self.process = _FORK.Process(target=_answer, args=(answer, args, name, model))
        self.process.start()
        answer.close()

    def found(self) -> Found:
        """What became of it, once there is an answer, or no process that could give one."""
        try:
            entry = self.answer.recv()
        except EOFError:
            self.process.join()
            slow = self.process.exitcode == -signal.SIGXCPU
            entry = Found(self.name, f'not run: {"it takes too long" if slow else "it was killed"}')
        self.process.join()
        return entry


def _answer(answer: Any, args: argparse.Namespace, name: str, model: dict) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (args.memory << 30, args.memory << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (args.limit, args.limit + 5))
    answer.send(try_network(args.task, name, model))


def sweep(networks: Iterator[tuple[str, dict]], args: argparse.Namespace) -> Iterator[tuple[Found, float]]:
    """Try networks, several at a time; what became of each, and the seconds it took."""
    running: list[Trial] = []
    while True:
        while len(running) < args.jobs and (network := next(networks, None)) is not None:
            running.append(Trial(*network, args))
        if not running:
            return
        ready = wait([trial.answer for trial in running])
        for trial in [trial for trial in running if trial.answer in ready]:
            running.remove(trial)
            yield trial.found(), time.time() - trial.start


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep, print, and with ``--write`` write the page; 1 if there was a fault."""
    args = parse_args(arguments)
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)  # what is forked has no other threads
    MODELS.import_from_location()  # once, and not in every process
    importlib.import_module(f'{PACKAGES[args.task]}.utils').register_all_modules(init_default_scope=False)
    found = _kept(args.rows)
    todo = (network for network in networks(args.task, args.family) if network[0] not in {row.config for row in found})
    for entry, seconds in sweep(todo, args):
        found.append(entry)
        line = f'{entry.config} | KD {entry.kd} | SHAKE {entry.shake} | export {entry.export}'
        print(f'{line} | {seconds:.0f} s', flush=True)
        if args.rows:
            with args.rows.open('a', encoding='utf-8') as file:
                file.write(json.dumps(entry._asdict()) + '\n')
        if args.write:
            write_page(args.task, [entry])
    if args.write:
        write_page(args.task, found)
    return int(any('fault' in cell for entry in found for cell in entry[1:]))


def _kept(rows: Path | None) -> list[Found]:
    lines = rows.read_text(encoding='utf-8').splitlines() if rows and rows.exists() else []
    return [Found(**json.loads(line)) for line in lines]


if __name__ == '__main__':
    raise SystemExit(main())
