"""Types and ranges of what mmengine and torch read from a config; they meet a wrong one late, or not at all."""

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from numbers import Integral, Real
from typing import Any, NamedTuple

from ..errors import UsageError


class Rule(NamedTuple):
    """What a value must be: whether it is, and the same in words, after "it must be"."""

    holds: Callable[[Any], bool]
    wanted: str


def is_finite(value: Real) -> bool:
    """Whether a number is one of those that a float can be."""
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def number(least: float, most: float = math.inf, above: bool = False) -> Rule:
    """A finite number in a range; with ``above`` more than ``least``."""

    def holds(value: Any) -> bool:
        real = isinstance(value, Real) and not isinstance(value, bool) and is_finite(value)
        return real and least <= value <= most and not (above and value == least)

    bounds = f', above {least}' if above else f', {least} or more'
    bounds = '' if least == -math.inf else bounds
    return Rule(holds, f'a finite number{bounds}' + (f', {most} at most' if most < math.inf else ''))


def whole(least: int, most: float = math.inf, exact: bool = True) -> Rule:
    """A whole number in a range; unless ``exact``, 2.0 counts as one, as where mmengine only compares."""

    def holds(value: Any) -> bool:
        kind = isinstance(value, Integral) or (not exact and isinstance(value, float) and value.is_integer())
        return number(least, most).holds(value) and kind

    return Rule(holds, f'a whole number, {least} or more' + (f', {most} at most' if most < math.inf else ''))


def choice(*names: Any) -> Rule:
    """One of several values, where 1 is not True."""
    words = ' or '.join(map(repr, names))
    return Rule(lambda value: any(type(value) is type(name) and value == name for name in names), words)


def either(*rules: Rule) -> Rule:
    """What meets one of several rules."""
    return Rule(lambda value: any(rule.holds(value) for rule in rules), ', or '.join(rule.wanted for rule in rules))


def list_of(rule: Rule) -> Rule:
    """A list or tuple whose entries all meet a rule."""
    words = f'a list, each entry {rule.wanted}'
    return Rule(lambda value: isinstance(value, list | tuple) and all(map(rule.holds, value)), words)


def _are_intervals(value: Any) -> bool:
    pairs = list_of(list_of(whole(0, exact=False))).holds(value) and all(len(pair) == 2 for pair in value)
    return pairs and all(interval >= 1 for _, interval in value)


COUNT, TIMES, SCALE, RATIO = whole(1), whole(1, exact=False), number(0), number(0, 1)
FLAG, POSITIVE = choice(True, False), number(0, above=True)
TEXT = Rule(lambda value: isinstance(value, str) or hasattr(value, '__fspath__'), 'a text')
PART = Rule(lambda value: not isinstance(value, str | Real | list | tuple), 'a dict')
PARTS = Rule(lambda value: not isinstance(value, str | Real), 'a dict or a list of dicts')
TYPE = Rule(lambda value: callable(value) or (isinstance(value, str) and value != ''), 'the name of a class')
BETTER = choice('greater', 'less')
LEVELS = choice('CRITICAL', 'ERROR', 'WARNING', 'INFO', 'DEBUG', 'NOTSET')
PRIORITY = choice(*'HIGHEST VERY_HIGH HIGH ABOVE_NORMAL NORMAL BELOW_NORMAL LOW VERY_LOW LOWEST'.split())

SCHEMA: tuple[tuple[Rule, str], ...] = (
    (PART, 'model *_cfg randomness auto_scale_lr default_hooks default_hooks.* log_processor visualizer env_cfg.*_cfg'),
    (PART, '*_dataloader *_dataloader.dataset *_dataloader.*sampler data_preprocessor model.**.data_preprocessor'),
    (PART, 'optim_wrapper optim_wrapper.**.optimizer optim_wrapper.**.clip_grad optim_wrapper.**.paramwise_cfg'),
    (PART, 'optim_wrapper.**.custom_keys optim_wrapper.**.custom_keys.*'),
    (PARTS, 'param_scheduler *_evaluator'),
    (list_of(PART), 'custom_hooks *_dataloader.**.pipeline'),
    (TYPE, 'model.**.type *_dataloader.**.type *_evaluator.**.type *_cfg.type visualizer.**.type log_processor.type'),
    (TYPE, 'optim_wrapper.**.type param_scheduler.**.type default_hooks.*.type custom_hooks.*.type'),
    (TEXT, 'work_dir load_from default_scope experiment_name env_cfg.dist_cfg.backend'),
    (FLAG, 'resume randomness.deterministic randomness.diff_rank_seed env_cfg.cudnn_benchmark auto_scale_lr.enable'),
    (FLAG, 'train_cfg.by_epoch *_cfg.fp16 log_processor.by_epoch'),
    (FLAG, '*_dataloader.drop_last *_dataloader.pin_memory *_dataloader.persistent_workers *_dataloader.*.shuffle'),
    (FLAG, 'optim_wrapper.**.optimizer.nesterov optim_wrapper.**.optimizer.amsgrad'),
    (FLAG, 'param_scheduler.**.by_epoch param_scheduler.**.convert_to_iter_based param_scheduler.**.verbose'),
    (
        FLAG,
        'default_hooks.checkpoint.by_epoch default_hooks.checkpoint.save_optimizer default_hooks.logger.ignore_last',
    ),
    (FLAG, 'default_hooks.checkpoint.save_param_scheduler default_hooks.checkpoint.save_last'),
    (FLAG, '**.data_preprocessor.to_rgb **.data_preprocessor.bgr_to_rgb **.data_preprocessor.rgb_to_bgr'),
    (either(LEVELS, whole(0)), 'log_level'),
    (whole(0, 2**32 - 1), 'randomness.seed *_dataloader.*sampler.seed'),
    (whole(-1), 'env_cfg.mp_cfg.opencv_num_threads default_hooks.checkpoint.max_keep_ckpts'),
    (whole(-1, exact=False), 'default_hooks.checkpoint.interval'),
    (COUNT, 'auto_scale_lr.base_batch_size *_dataloader.batch_size *_dataloader.*sampler.batch_size'),
    (COUNT, '*_dataloader.prefetch_factor default_hooks.logger.interval log_processor.window_size'),
    (COUNT, '**.data_preprocessor.pad_size_divisor'),
    (TIMES, 'train_cfg.max_epochs train_cfg.max_iters train_cfg.val_interval optim_wrapper.**.accumulative_counts'),
    (TIMES, 'param_scheduler.**.end param_scheduler.**.step_size param_scheduler.**.total_steps'),
    (whole(0), '*_dataloader.num_workers'),
    (whole(0, exact=False), 'train_cfg.val_begin param_scheduler.**.begin default_hooks.checkpoint.save_begin'),
    (list_of(whole(0, exact=False)), 'param_scheduler.**.milestones'),
    (Rule(_are_intervals, 'a list of pairs, a start and an interval of 1 or more'), 'train_cfg.dynamic_intervals'),
    (SCALE, 'optim_wrapper.**.optimizer.lr optim_wrapper.**.optimizer.weight_decay optim_wrapper.**.optimizer.eps'),
    (SCALE, 'optim_wrapper.**.paramwise_cfg.*_mult optim_wrapper.**.custom_keys.*.*_mult *_dataloader.timeout'),
    (SCALE, 'param_scheduler.**.gamma param_scheduler.**.eta_min param_scheduler.**.power param_scheduler.**.factor'),
    (RATIO, 'optim_wrapper.**.optimizer.momentum optim_wrapper.**.optimizer.dampening'),
    (RATIO, 'param_scheduler.**.eta_min_ratio param_scheduler.**.end_factor'),
    (list_of(RATIO), 'optim_wrapper.**.optimizer.betas'),
    (number(0, 1, above=True), 'param_scheduler.**.start_factor'),
    (POSITIVE, 'param_scheduler.**.T_max optim_wrapper.**.clip_grad.max_norm optim_wrapper.**.clip_grad.clip_value'),
    (either(POSITIVE, choice(math.inf, 'inf')), 'optim_wrapper.**.clip_grad.norm_type'),
    (choice('norm', 'value'), 'optim_wrapper.**.clip_grad.type'),
    (either(choice('dynamic'), POSITIVE, PART), 'optim_wrapper.**.loss_scale'),
    (either(number(-math.inf), list_of(number(-math.inf))), '**.data_preprocessor.mean'),
    (either(POSITIVE, list_of(POSITIVE)), '**.data_preprocessor.std'),
    (either(PRIORITY, whole(0, 100)), 'default_hooks.*.priority custom_hooks.*.priority'),
    (either(BETTER, list_of(BETTER)), 'default_hooks.checkpoint.rule'),
    (either(COUNT, list_of(COUNT)), '*_evaluator.**.topk'),
)
"""Rules and the keys that they are for: ``*`` stands for any part of a name, ``**`` for any number of parts."""

CLIP = ('type', 'max_norm', 'norm_type', 'error_if_nonfinite', 'foreach', 'clip_value')
KEYS = {'randomness': ('seed', 'deterministic', 'diff_rank_seed'), 'optim_wrapper.**.clip_grad': CLIP}
"""All keys of parts that are passed to a function as they are."""


def check_schema(cfg: Mapping[str, Any], leave_out: Sequence[str] = ()) -> None:
    """Refuse a value of a wrong type or range.

    Args:
        cfg (Mapping): The config as plain values; None is a key that is left out.
        leave_out (sequence of str): Patterns of top-level keys that are not going to be read.

    Raises:
        UsageError: Naming the key, its value and what it must be.
    """
    read = {key: value for key, value in cfg.items() if not any(fnmatchcase(key, name) for name in leave_out)}
    for rule, patterns in SCHEMA:
        for key, value in (found for pattern in patterns.split() for found in at(read, pattern.split('.'))):
            if value is not None and not rule.holds(value):
                quoted = isinstance(value, str) and _is_number(value)
                fix = ': write it without quotes (YAML reads 1e-3 as text, and 1.0e-3 as a number)' if quoted else ''
                raise UsageError(f'{key} is {shown(value)}, but it must be {rule.wanted}{fix}.')
    for pattern, known in KEYS.items():
        for key, part in at(read, pattern.split('.')):
            for name in part if isinstance(part, Mapping) else ():
                check_option(key, name, known)


def check_option(key: str, name: str, known: Sequence[str]) -> None:
    """Refuse an option that is none of those which a part of the config has.

    Raises:
        UsageError: With the nearest one.
    """
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1) or known
        raise UsageError(f"{key} has no option '{name}': did you mean {' or '.join(near)}?")


def at(part: Any, way: Sequence[str], before: str = '') -> Iterator[tuple[str, Any]]:
    """Yield what a pattern finds in a config, each with its dotted key."""
    if not way:
        yield before.removeprefix('.'), part
        return
    step, *rest = way
    if step == '**':
        yield from at(part, rest, before)
    entries = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, list | tuple) else ()
    for name, value in entries:
        if step == '**' or fnmatchcase(str(name), step):
            yield from at(value, way if step == '**' else rest, f'{before}.{name}')


def shown(value: Any) -> str:
    """A value as it stands in a sentence, cut off where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write whole numbers of thousands of digits
        text = 'a number of thousands of digits'
    return text if len(text) <= 80 else f'{text[:80]}…'


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
