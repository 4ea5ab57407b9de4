"""Terms as a config writes them: checked, merged with a method's, asked for their taps."""

from collections.abc import Mapping
from typing import Any

from ..errors import UsageError
from ..registry import takes
from ..taps import listed
from ..validation import check_mapping, check_tap, nearest
from .expand import SIDES, WRITTEN_OUT
from .terms import TERM_ARGUMENTS

PAPER = {'tau': 4.0}
"""What the papers set of what compares logits: softened, and no place or box before another but by confidence."""
TERM_KEYS = (*TERM_ARGUMENTS, *WRITTEN_OUT)


def check_terms(terms: Mapping[str, dict | None]) -> None:
    """Refuse terms with unknown keys, without a tap that learns, or with something else in a tap's place.

    Args:
        terms (dict): By name, as in the config; None drops one.

    Raises:
        UsageError: Naming the term and the key.
    """
    check_mapping('terms', terms, "terms=dict(task=dict(of='student'))")
    for name, config in terms.items():
        if config is None:
            continue
        check_mapping(f'terms.{name}', config, f"{name}=dict(of='student.logits', ...)")
        for key in config:
            if key not in TERM_KEYS:
                near = nearest(str(key), TERM_KEYS)
                hint = f'did you mean {near}?' if near else f'a term has {", ".join(TERM_KEYS)}.'
                if key == 'tau':  # of what compares, not of the term
                    hint = "it belongs into the term's loss=dict(…)."
                raise UsageError(f"terms.{name}: unknown key '{key}', {hint}")
        if 'of' not in config:
            raise UsageError(f"terms.{name}: 'of' is missing: name the tap that learns, e.g. of='student.logits'.")
        for side in SIDES:
            if side == 'of' or config.get(side) is not None:
                check_tap(f'terms.{name}.{side}', config[side])


def compares(config: Mapping[str, Any]) -> bool:
    """Whether a term reads taps, instead of being a member's own loss."""
    return config.get('loss') is not None


def taps_of(config: Mapping[str, Any]) -> list[str]:
    """All taps that a term's config names."""
    return [tap for side in SIDES if config.get(side) is not None for tap in listed(config[side])]


def popped_source(tap: str, config: dict) -> str | list[str]:
    """Take the tap that a shared connector reads out of its config.

    Raises:
        UsageError: If there is none.
    """
    if 'source' not in config:
        raise UsageError(f"{tap}: 'source' is missing: name the tap that it reads, e.g. source='student.f2'.")
    check_tap(f'{tap}.source', config['source'])
    return config.pop('source')


def merge_terms(defaults: Mapping[str, dict], changes: Mapping[str, dict | None] | None) -> dict[str, dict | None]:
    """A method's terms with the config's changes: keys are merged, None drops a term, a new name adds one."""
    check_mapping('terms', changes or {}, "terms=dict(hint=dict(of='student.f2', ...))")
    merged: dict[str, dict | None] = dict(defaults)
    for name, change in (changes or {}).items():
        if change is not None:
            check_mapping(f'terms.{name}', change, f'{name}=dict(weight=0.5), or None to drop it')
        keep = merged.get(name) if change is not None and not change.get('_delete_', False) else None
        change = None if change is None else {k: v for k, v in change.items() if k != '_delete_'}
        merged[name] = None if change is None else {**(keep or {}), **change}
    return merged


def divergence_of(tau: float | None, divergence: Mapping | None, setting: str | None = None) -> dict:
    """Config of what compares logits, for :func:`completed`.

    Args:
        tau (float, optional): Temperature, unless the divergence gives its own, or has none. None leaves it open.
        divergence (dict, optional): What the config says of it.
        setting (str, optional): ``'paper'`` for what the papers set where the config says nothing; None leaves it open.

    Raises:
        UsageError: If there is no such setting.
    """
    check_mapping('divergence', divergence or {}, "divergence=dict(type='AlphaDivLoss')")
    if setting not in (None, 'paper'):
        raise UsageError(f"setting={setting!r} is none: give 'paper', or leave it out for what was measured to help.")
    own = dict(divergence or {})
    tau = PAPER['tau'] if tau is None and setting == 'paper' else tau
    if 'type' in own:
        return {'tau': tau, **own} if takes(own['type'], 'tau') else own
    return {'tau': tau, **own, **({'setting': setting} if setting else {})}


def completed(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What compares logits, with what its config leaves open.

    Args:
        config (dict): Of a term's loss, see :func:`divergence_of`; without a type it is the task's.
        defaults (dict): The task's, see :meth:`~shake_mm.tasks.base.Task.defaults_of`.
    """
    said = {key: value for key, value in config.items() if key != 'tau' or value is not None}
    if 'type' in said:
        return {**({'tau': defaults['tau']} if 'tau' in config else {}), **said}
    return {**(PAPER if said.pop('setting', None) == 'paper' else defaults), **said}
