"""The trainings of a search for settings, and what is kept of them."""

import argparse
import copy
import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict

from .. import switches
from ..errors import UsageError
from ..options import CACHES
from ..outputs import claim, write_config
from ..registry import type_name
from ..reports import write_record
from .halving import shorten
from .run import Run, clear
from .runs import TRAIN, train_all
from .scalars import read_run

GIVEN, PLAIN = 'given', 'plain'
"""The config as it is, and the student alone."""
METHODS = ('KD', 'SHAKE')
METRICS = ('accuracy/top1', 'coco/bbox_mAP', 'mIoU', 'student/top1')
"""What is maximized, if the validation has it and no other is named; the first that there is."""
STRONGER = dict(type='ShadowHead', source='student.backbone', neck=dict(type='ShadowNeck'))
"""A shadow with layers of its own before its head, of classifiers that pool a map."""
SHARED = ('student', 'teachers', 'num_samples', 'input_size', 'task', 'data_preprocessor', 'compile')
"""Arguments that every method has."""


class Trial(NamedTuple):
    """A setting, and for how many epochs it is trained."""

    name: str
    epochs: int


class Search:
    """A search in its folder: the settings, what they reached, and the time that it took.

    ``tune.json`` has every finished training; a search that is started again with the same config and options goes on.

    Args:
        cfg (Config): The distillation that it starts from.
        folder (Path): Where everything is written.
        args (Namespace): With ``methods``, ``taus``, ``lams``, ``metric``, ``seed``.
        train (sequence of str): What trains a config.

    Raises:
        UsageError: If the model is neither KD nor SHAKE, or the folder holds the search of another config.
    """

    def __init__(self, cfg: Config, folder: Path, args: argparse.Namespace, train: Sequence[str] = TRAIN) -> None:
        self.cfg, self.folder, self.metric, self.seed = cfg, folder, args.metric, args.seed
        check_searched(cfg)
        self.epochs: int = cfg.train_cfg.max_epochs
        self.settings = settings_of(cfg.model, args.methods, args.taus, args.lams)
        self.switches = cheap_switches(cfg)
        self.train = (*train, *self.switches)
        self.file = folder / 'tune.json'
        told = [cfg.pretty_text, *self.settings, *map(str, (args.metric, args.seed))]
        self.fingerprint = hashlib.sha256('\n'.join(told).encode()).hexdigest()
        self.results: dict[str, dict[str, Any]] = {}
        self.number: int | None = None
        for name in ('tune.json', 'best.py'):
            claim(folder / name, '--work-dir')
        self._read()

    @property
    def spent(self) -> float:
        """Seconds of all trainings, those of earlier calls too."""
        return sum(result['seconds'] for result in self.results.values())

    def value(self, name: str, epochs: int) -> float | None:
        """What a setting reached after so many epochs; None if it was not trained so long."""
        found = self.results.get(f'{name} @ {epochs}')
        return found if found is None else _number(found)

    def begin(self, number: int) -> None:
        """Note with how many settings the search begins: it goes on with the same ones."""
        self.number = number
        self._write()

    def measure(self, trial: Trial) -> float:
        """Train a setting and keep what it reaches: less than anything where it fails, as where losses are not finite.

        Raises:
            UsageError: If the config does not train as it is, or its validation does not have the metric.
        """
        started = time.monotonic()
        run = Run(f'{trial.name}, {trial.epochs} epochs', self._config(trial), self._runs(trial), self.seed)
        failed = train_all([run], self.train, keep_going=True).get(run)
        if failed and trial.name == GIVEN:
            raise UsageError(f'the config does not train as it is: {failed}')
        value = None if failed else self._reached(run)
        if not failed:  # else its log is of use
            clear(run)
        seconds = round(time.monotonic() - started, 1)
        self.results[f'{trial.name} @ {trial.epochs}'] = {'value': value, 'seconds': seconds}
        self._write()
        return -math.inf if value is None else value

    def _reached(self, run: Run) -> float:
        last = read_run(run.work_dir).last(run.epochs)
        wanted: Sequence[str] = [self.metric] if self.metric else METRICS
        metric = next((name for name in wanted if name in last), None)
        if metric is None:
            raise UsageError(f'--metric: the validation has {", ".join(sorted(last))}: name one that is to be large.')
        self.metric = metric
        return last[metric]

    def ranking(self) -> list[tuple[str, int, float]]:
        """Name, most epochs and value of each setting: those that were trained longest first, of these the best."""
        longest: dict[str, tuple[int, float]] = {}
        for key, result in self.results.items():
            name, _, epochs = key.rpartition(' @ ')
            if int(epochs) > longest.get(name, (0, 0.0))[0]:
                longest[name] = int(epochs), _number(result)
        ordered = sorted(longest.items(), key=lambda item: (-item[1][0], -item[1][1]))
        return [(name, epochs, value) for name, (epochs, value) in ordered]

    def table(self) -> str:
        """All settings as a Markdown table, the best one first."""
        lines = [f'| setting | epochs | {self.metric or "metric"} |', '|---|---|---|']
        lines += [f'| {name} | {epochs} of {self.epochs} | {value:.4f} |' for name, epochs, value in self.ranking()]
        return '\n'.join(lines)

    def write_best(self) -> Path:
        """Write the best setting as a whole config of full length, and return the file."""
        name, _, _ = self.ranking()[0]
        write_config(self._with(name), self.folder / 'best.py')
        return self.folder / 'best.py'

    def _with(self, name: str) -> Config:
        """The config with a setting, without the names of which ours make their models."""
        cfg = copy.deepcopy(self.cfg)
        cfg.model = copy.deepcopy(self.settings[name])
        for made in ('method', 'teachers', 'terms'):
            cfg.pop(made, None)
        return cfg

    def _config(self, trial: Trial) -> Path:
        cfg = self._with(trial.name)
        shorten(cfg, trial.epochs)
        path = self.folder / 'configs' / f'{slug(trial.name)}_{trial.epochs}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_config(cfg, path)
        return path

    def _runs(self, trial: Trial) -> Path:
        return self.folder / 'runs' / f'{slug(trial.name)}_{trial.epochs}'

    def _read(self) -> None:
        if not self.file.is_file():
            return
        try:
            content = json.loads(self.file.read_text(encoding='utf-8'))
            known, self.number, self.results = content['fingerprint'], content['number'], dict(content['results'])
            self.metric = content['metric'] or self.metric
        except (ValueError, LookupError, TypeError) as error:
            raise UsageError(f'{self.file} is damaged: move it away, and the search begins anew.') from error
        if known != self.fingerprint:
            raise UsageError(
                f'--work-dir: {self.folder} holds a search from another config or with other options: name another one.'
            )

    def _write(self) -> None:
        about = {'fingerprint': self.fingerprint, 'number': self.number, 'metric': self.metric}
        content = {**about, 'results': self.results}
        write_record(self.file, content, 'shake_mm tune')


def _number(result: Mapping[str, Any]) -> float:
    """What was reached, less than anything where the training failed."""
    return -math.inf if result['value'] is None else result['value']


def slug(name: str) -> str:
    """A setting's name as files have it."""
    return name.replace(' ', '-').replace('=', '')


def check_searched(cfg: Config) -> None:
    """Refuse what is no distillation that a search can start from.

    Raises:
        UsageError: With the mend.
    """
    model = cfg.get('model') or {}
    if type_name(model.get('type')) not in METHODS or not model.get('teachers'):
        raise UsageError(
            f'config: model.type is {type_name(model.get("type"))}, and a search starts from {" or ".join(METHODS)} '
            "with teachers: give type='shake_mm.KD'."
        )
    if model.get('stages'):
        raise UsageError('config: model.stages count epochs, which a search shortens: leave them out.')
    if not (cfg.get('train_cfg') or {}).get('max_epochs'):
        raise UsageError('config: train_cfg.max_epochs is missing: a search shortens trainings by epochs.')
    if not cfg.get('val_dataloader'):
        raise UsageError('config: there is no val_dataloader, by which settings are compared: give one.')


def settings_of(
    model: Mapping[str, Any], methods: Sequence[str], taus: Sequence[float], lams: Sequence[float]
) -> dict[str, ConfigDict]:
    """The models that are compared, by name: the given one, the student alone, and each method with all its weights.

    Where the config changes terms, these are kept, and its own method is the only one.

    Raises:
        UsageError: If another method is named than a config with terms of its own has.
    """
    own = str(type_name(model['type']))
    shared = {key: model[key] for key in SHARED if key in model}
    if model.get('terms'):
        if set(methods) - {own} and set(methods) != set(METHODS):
            raise UsageError(f'--methods: the config changes terms of {own}, which others have not: name {own} alone.')
        methods, shared = [own], {**shared, 'terms': model['terms']}
    bare = {key: value for key, value in shared.items() if key != 'terms'}
    found = {GIVEN: ConfigDict(model), PLAIN: ConfigDict(type='shake_mm.Baseline', **bare)}
    for method in methods:
        pools = type_name((model['student'].get('neck') or {}).get('type')) == 'GlobalAveragePooling'
        shadows = {'': {}, **({' stronger shadow': {'proxies': STRONGER}} if pools and method == 'SHAKE' else {})}
        for (shadow, proxies), tau, lam in product(shadows.items(), taus, lams):
            weights = {'tau': tau, 'lam': lam, **proxies}
            name = f'{method} tau={tau:g} lam={lam:g}{shadow}'
            found[name] = ConfigDict(type=f'shake_mm.{method}', **shared, **weights)
    return found


def cheap_switches(cfg: Config) -> list[str]:
    """Options of the training that let all of them share one pass of the teachers, where the data set allows it."""
    tried = copy.deepcopy(cfg)
    try:
        switches.make_batched(tried)
        switches.make_cached(tried, CACHES)
    except UsageError:
        return []
    return ['--batched', '--cache-teachers', CACHES]
