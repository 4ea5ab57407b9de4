"""What an axis of percents shows: most of the points, and no spread beyond 0 and 100."""

from collections.abc import Sequence

import numpy as np

from analysis.summary import Stat

FENCE = 3.0
"""Points further from the middle half than so many of its widths are off the axis, and told by their value."""


def spreads(stats: Sequence[Stat]) -> np.ndarray:
    """Lengths of error bars below and above means in percent, shape (2, N), none of which leaves 0 to 100."""
    means = np.array([stat.mean for stat in stats])
    wide = np.nan_to_num([stat.std for stat in stats])
    return np.array([np.minimum(wide, means), np.minimum(wide, 100 - means)]).clip(min=0)


def window(stats: Sequence[Stat], others: Sequence[float] = ()) -> tuple[float, float]:
    """The range of an axis: one value far off does not flatten all others.

    Args:
        stats (sequence of Stat): What is drawn with error bars.
        others (sequence of float): Lines and points that are within the range in any case.

    Returns:
        tuple[float, float]: The lowest and the highest value.
    """
    means = np.array([stat.mean for stat in stats])
    low, high = np.percentile(means, (25, 75))
    reach = FENCE * max(high - low, 1.0)
    below, above = spreads(stats)
    kept = (means >= low - reach) & (means <= high + reach)
    ends = [*(means - below)[kept].clip(low - reach), *(means + above)[kept].clip(max=high + reach), *others]
    room = 0.06 * (max(ends) - min(ends)) or 1.0
    return float(min(ends) - room), float(max(ends) + room)
