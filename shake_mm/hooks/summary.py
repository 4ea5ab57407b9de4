"""One line before a training, on what trains, and one after it, on what came out."""

import json
import re
import time
from pathlib import Path
from statistics import median
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from torch import nn

from ..engine import Distiller
from ..errors import UsageError
from ..members import CachedMember
from ..registry import HOOKS
from ..safe_io.run_config import read_run_config
from ..utils import unwrap_model

HEADLINE = re.compile(r'(top1|mAP|mIoU)$|/gap/')
"""The metrics that a run is told by, of all that mmdet gives for one set of boxes."""
STEPS = 10
"""After how many the time is told. The first does not count."""
PACE = ('model', 'data_preprocessor', 'train_dataloader', 'optim_wrapper', 'env_cfg', 'launcher')
"""The parts of a config that the time of a step depends on."""


@HOOKS.register_module()
class SummaryHook(Hook):
    """Logs what a distillation trains when it begins, how long it will take, and at the end where the result lies.

    The time goes by an earlier run of the same config in the work directory, if there is one, and is told anew after
    a few steps. ``tools/train.py`` adds the hook to every distillation.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._trained = False
        self._moments: list[float] | None = None

    @master_only
    def before_train(self, runner: Any) -> None:
        """Log the members, the terms, how long they train and what time that is expected to take."""
        self._trained, self._moments = True, []
        length = f'{runner.max_iters} steps'
        if runner.train_loop.__class__.__name__ != 'IterBasedTrainLoop':
            length = f'{runner.max_epochs} epochs of {len(runner.train_dataloader)} steps'
        model, takes = told(unwrap_model(runner.model)), _expected(runner)
        runner.logger.info(f'{model} {length}{takes}; log and config: {runner.log_dir}')

    @master_only
    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Log how long the training will take, as soon as a few steps tell it: long before the first loss, perhaps."""
        if self._moments is None:
            return
        self._moments.append(time.perf_counter())
        if len(self._moments) > STEPS:
            each = median(after - before for before, after in zip(self._moments, self._moments[1:]))
            left = duration(each * (runner.max_iters - runner.iter - 1))
            runner.logger.info(f'{each:.3g} s a step: about {left} to go, without validation')
            self._moments = None

    @master_only
    def after_run(self, runner: Any) -> None:
        """Log the last metrics, the last checkpoint and what can be done with it."""
        if self._trained:
            runner.logger.info(_outcome(runner))
            self._trained = False


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    Args:
        seconds (float): How long.

    Example:
        >>> duration(90), duration(3000), duration(9000)
        ('90 s', '50 min', '2.5 h')
    """
    if seconds < 120:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 7200 else f'{seconds / 3600:.1f} h'


def _expected(runner: Any) -> str:
    """What a training is expected to take, by the last run of the same config here, or when that will be told."""
    left = runner.max_iters - runner.iter
    for log in sorted(Path(runner.work_dir).glob('*/vis_data/scalars.json'), reverse=True):
        each = _pace(log, Path(runner.log_dir, 'vis_data/config.py'))
        if each:
            return f', about {duration(each * left)} at {each:.3g} s a step, as in {log.parts[-3]}'
    return f', how long they take is told after {STEPS}' * (left > STEPS)


def _pace(log: Path, config: Path) -> float | None:
    """Seconds a step of an earlier run, or None if its config is another one, or it logged none."""
    try:
        there, here = (read_run_config(path) for path in (log.with_name('config.py'), config))
        if any(there.get(key) != here.get(key) for key in PACE):
            return None
        rows = [json.loads(line) for line in log.read_text(encoding='utf-8').splitlines()]
        return median(row['time'] for row in rows if 'loss' in row and 'time' in row)
    except (OSError, UsageError, ValueError, TypeError):  # nothing was logged yet, or others write there
        return None


def told(model: Distiller) -> str:
    """The members of a distiller with their parameters, and its terms with their weights, in a line."""
    teachers = [f'{name} ({_kind(member)})' for name, member in model.members.frozen.items()]
    teachers += [f'{name} ({_size(network)}, trained along)' for name, network in model.peers.items()]
    proxies = [f'{name} ({type(proxy).__name__}, {_size(proxy)})' for name, proxy in model.proxies.items()]
    terms = [f'{term.weight:g} {name}{_loss_of(term)}' for name, term in model.terms.items()]
    others = f' learns from {", ".join([*teachers, *proxies])}' if teachers or proxies else ' trains'
    return f'student ({_size(model.student)}){others} by {" + ".join(terms)};'


def _kind(member: Any) -> str:
    return f'{_size(member.network)}, {"cached" if isinstance(member, CachedMember) else "live"}'


def _size(network: nn.Module) -> str:
    number = sum(parameter.numel() for parameter in network.parameters())
    return f'{number / 1e6:.1f} M' if number >= 1e6 else f'{number / 1e3:.1f} k'


def _loss_of(term: Any) -> str:
    return '' if term.loss is None else f' ({type(term.loss).__name__})'


def _outcome(runner: Any) -> str:
    scalars = runner.message_hub.log_scalars
    metrics = [
        f'{key.removeprefix("val/")} {buffer.current():.4g}'
        for key, buffer in scalars.items()
        if key.startswith('val/') and HEADLINE.search(key)
    ]
    last = runner.message_hub.get_info('last_ckpt') if 'last_ckpt' in runner.message_hub.runtime_info else None
    config = runner.cfg.filename
    parts = [f'{", ".join(metrics)} after the last validation.' if metrics else 'The training is over.']
    if last:
        parts.append(f'The weights: {last}.')
    if last and config:
        out = Path(last).with_name('student.pth')
        parts.append(f'Next: `python -m shake_mm export {config} {last} {out}` writes the student as a plain model.')
    return ' '.join(parts)
