"""Terms: what a distiller minimises, each a loss between two taps, logged under its own name."""

from collections.abc import Mapping, Sequence

from mmengine.model import BaseModule
from torch import Tensor

from ..errors import UsageError
from ..registry import build_part
from .taps import Taps

Losses = dict[str, Tensor]


class Term(BaseModule):
    r"""One summand of the objective.

    With a ``loss``, the term is ``weight * loss(of, sg(to))``: gradient flows into the tap ``of``, the tap ``to`` is
    a target and is detached. Without one it is ``weight`` times the losses that the member ``of`` computes for itself
    from the labels (a classifier's cross-entropy, a detector's whole dict).

    Args:
        name (str): Under this name, as ``loss_{name}``, the weighted value is logged.
        of (str): Tap that learns (with ``loss``), or member (without).
        to (str, optional): Tap that is the target.
        loss (dict, optional): A registered loss, called as ``loss(of, to)``.
        weight (float): Factor. Defaults to 1.
        connector (dict, optional): A registered module applied to ``of`` first, trained with the student.

    Raises:
        UsageError: If ``weight`` is negative, or only one of ``loss`` and ``to`` is given.
    """

    def __init__(
        self,
        name: str,
        of: str,
        to: str | None = None,
        loss: dict | None = None,
        weight: float = 1.0,
        connector: dict | None = None,
    ) -> None:
        super().__init__()
        if not weight >= 0:
            raise UsageError(f'terms.{name}: the weight is {weight}, but it must be a number >= 0.')
        if (loss is None) != (to is None):
            raise UsageError(f"terms.{name}: give both 'loss' and 'to', or neither for the own loss of '{of}'.")
        self.name, self.of, self.to, self.weight = name, of, to, weight
        self.loss = None if loss is None else build_part(loss)
        self.connector = None if connector is None else build_part(connector)

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps that must be recorded for this term."""
        return () if self.loss is None else (self.of, self.to)

    def forward(self, taps: Taps, own: Mapping[str, Losses]) -> Losses:
        """Evaluate the term.

        Args:
            taps (Taps): The recorded taps of this step.
            own (dict): The members' own losses, by member.

        Returns:
            dict[str, Tensor]: Scalars by log name.
        """
        if self.loss is None:
            return {f'{self.of}.{key}': value for key, value in _scaled(own[self.of], self.weight).items()}
        learner, target = taps.tensor(self.of), taps.tensor(self.to).detach()
        if self.connector is not None:
            learner = self.connector(learner)
        return {f'loss_{self.name}': self.weight * self.loss(learner, target)}


def expand_terms(configs: Mapping[str, dict | None], counts: Mapping[str, int]) -> dict[str, dict]:
    """Write out the terms that hold for every teacher.

    A term whose taps name ``teacher*`` or ``proxy*`` is repeated for each of them. ``weighting`` says how the copies
    add up: ``'sum'`` (default) or ``'mean'``, which divides the weight by their number. With a single copy the name
    stays as it is, else the index is appended. A term that is None was dropped by the config.

    Args:
        configs (dict): Terms by name, as in the config.
        counts (dict): How many members there are of each kind, e.g. ``{'teacher': 2, 'proxy': 2}``.

    Returns:
        dict: Arguments of :class:`Term` by name.
    """
    expanded: dict[str, dict] = {}
    for name, config in configs.items():
        if config is None:
            continue
        config = dict(config)
        weighting = config.pop('weighting', 'sum')
        if weighting not in ('sum', 'mean'):
            raise UsageError(f"terms.{name}.weighting is '{weighting}': use 'mean' or 'sum'.")
        kinds = [kind for kind in counts for side in ('of', 'to') if f'{kind}*' in str(config.get(side))]
        if not kinds:
            expanded[name] = config
            continue
        number = counts[kinds[0]]
        if any(counts[kind] != number for kind in kinds):
            raise UsageError(
                f'terms.{name} pairs {" with ".join(kinds)}, but there are {[counts[k] for k in kinds]} of them.'
            )
        if number == 0:
            raise UsageError(
                f'terms.{name} needs a {kinds[0]}, but this distiller has none: add one or set the term to None.'
            )
        if weighting == 'mean':
            config['weight'] = config.get('weight', 1.0) / number
        for i in range(number):
            sides = {side: config[side].replace('*', str(i)) for side in ('of', 'to') if config.get(side)}
            expanded[name if number == 1 else f'{name}{i}'] = {**config, **sides}
    return expanded


def merge_terms(defaults: Mapping[str, dict], changes: Mapping[str, dict | None] | None) -> dict[str, dict | None]:
    """A method's terms with the config's changes: keys are merged, None drops a term, a new name adds one."""
    merged: dict[str, dict | None] = dict(defaults)
    for name, change in (changes or {}).items():
        keep = merged.get(name) if change is not None and not change.get('_delete_', False) else None
        change = None if change is None else {k: v for k, v in change.items() if k != '_delete_'}
        merged[name] = None if change is None else {**(keep or {}), **change}
    return merged


def active_terms(terms: Mapping[str, Term], names: Sequence[str] | None) -> dict[str, Term]:
    """Those of ``terms`` that a stage names; a name also stands for its copies over several teachers."""
    if names is None:
        return dict(terms)
    chosen = {key: term for key, term in terms.items() if key in names or key.rstrip('0123456789') in names}
    for name in names:
        if not any(name in (key, key.rstrip('0123456789')) for key in chosen):
            raise UsageError(f"a stage names the term '{name}', but the terms are {', '.join(terms)}.")
    return chosen


def _scaled(losses: Losses, weight: float) -> Losses:
    """Weigh what counts towards the objective; other entries (accuracies) are logged as they are."""

    def scale(value):
        return [weight * item for item in value] if isinstance(value, (list, tuple)) else weight * value

    return {key: scale(value) if 'loss' in key else value for key, value in losses.items()}
