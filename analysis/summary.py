"""Means and spreads over seeds, and what may be concluded from them."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

LIMIT = 1e100


class Stat(NamedTuple):
    """Mean and sample standard deviation.

    Args:
        mean (float): The mean.
        std (float): The standard deviation with ``n - 1`` in its denominator; NaN for a single value.
        n (int): How many values.
    """

    mean: float
    std: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> 'Stat':
        """Summarize ``values``, at least one."""
        values = list(values)
        if not all(abs(value) < LIMIT for value in values):  # NaN, Inf, or what only a damaged log holds
            return cls(math.nan, math.nan, len(values))
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan, len(values))

    def __format__(self, spec: str) -> str:
        spec = spec or '.2f'
        spread = '' if math.isnan(self.std) else f' ± {self.std:{spec}}'
        return f'{self.mean:{spec}}{spread}'


def over_seeds(rows: Sequence[Mapping[str, float]]) -> dict[str, Stat]:
    """Summarize what every seed's row of metrics has.

    Args:
        rows (sequence of dict): One row of metrics per seed.

    Returns:
        dict[str, Stat]: By metric, for those that all rows have.
    """
    return {key: Stat.of(row[key] for row in rows) for key in rows[0] if all(key in row for row in rows)}


def pooled_std(a: Stat, b: Stat) -> float:
    """The standard deviation that two groups of seeds have in common."""
    weights = max(a.n + b.n - 2, 1)
    return math.sqrt(((a.n - 1) * a.std**2 + (b.n - 1) * b.std**2) / weights)


def difference(name_a: str, a: Stat, name_b: str, b: Stat, unit: str = 'points') -> str:
    """Describe the difference of two means in one sentence, whatever the result.

    Args:
        name_a (str): The first group.
        a (Stat): Its values.
        name_b (str): The second group, which is subtracted.
        b (Stat): Its values.
        unit (str): Unit of the values. Defaults to ``'points'``.

    Returns:
        str: The sentence, ending in a full stop.
    """
    delta = a.mean - b.mean
    sentence = f'{name_a} − {name_b} = {delta:+.2f} {unit}'
    if min(a.n, b.n) < 2:
        return f'{sentence}, measured with a single seed: nothing can be said about the spread between seeds.'
    spread = pooled_std(a, b)
    seeds = f'{a.n} and {b.n} seeds' if a.n != b.n else f'{a.n} seeds each'
    verdict = 'exceeds' if abs(delta) > spread else 'does not exceed'
    return f'{sentence}, which {verdict} the spread between seeds (pooled standard deviation {spread:.2f}, {seeds}).'
