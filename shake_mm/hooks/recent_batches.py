"""Which samples a step used, for errors that are noticed only steps later."""

from collections.abc import Sequence
from typing import Any

IDS = ('sample_idx', 'img_id', 'img_path')
"""Fields in which the packers of mmpretrain and mmdet store what identifies a sample."""
SHOWN = 16


class RecentBatches:
    """Remembers the samples of the last steps until told to forget them.

    Only the samples are kept, not the images, and their ids are looked up when they are asked for.
    """

    def __init__(self) -> None:
        self._samples: dict[int, Any] = {}

    def note(self, iteration: int, data_batch: Any) -> None:
        """Remember the samples of an iteration."""
        self._samples[iteration] = data_batch.get('data_samples') if isinstance(data_batch, dict) else None

    def ids(self, iteration: int) -> list:
        """The ids of an iteration's samples; those that carry none are left out."""
        return [found for found in map(id_of, self._samples.get(iteration) or ()) if found is not None]

    def forget(self) -> None:
        """Forget all iterations but the last one noted."""
        self._samples = dict(list(self._samples.items())[-1:])


def id_of(sample: Any) -> Any:
    """What identifies a sample of any task, or None."""
    return next((value for name in IDS if (value := getattr(sample, name, None)) is not None), None)


def shortened(ids: Sequence, shown: int = SHOWN) -> str:
    """List ids as part of a sentence.

    Example:
        >>> shortened([3, 1, 4], shown=2)
        'samples 3, 1, … (3 in all)'
    """
    if not ids:
        return 'samples without an id'
    head = ', '.join(map(str, ids[:shown]))
    return f'samples {head}, … ({len(ids)} in all)' if len(ids) > shown else f'samples {head}'
