"""Samples that cannot be read: refused with the file's name, or replaced and counted across worker processes."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.dataset import BaseDataset

from ..errors import UsageError

HOOK = 'shake_mm.ReadGuardHook'


class Reader:
    """Replaces ``prepare_data`` of a data set, so that no failure of its pipeline goes unnoticed.

    With policy ``'fail'`` the error names the file. With ``'skip'`` the next sample that can be read is taken, so that
    the same run takes the same ones, and the failure is counted in memory that all workers share. Where the pipeline
    gives None (``LoadImageFromFile(ignore_empty=True)``, mmdet's ``FilterAnnotations``), mmengine takes another sample
    at random, which is counted. A data set in test mode always fails, since a metric must cover all samples.

    Args:
        dataset (BaseDataset): The data set whose ``prepare_data`` it replaces.
        name (str): Key of its loader in the config.
        policy (str): ``'fail'`` or ``'skip'``. Defaults to ``'fail'``.
        max_skips (int): How many different samples may be skipped.
        own (bool): Whether an item must be of the very sample that was asked for. Defaults to False.

    Attributes:
        unread (Tensor): How often each sample could not be read, shape (n,).
        left_out (Tensor): How often the pipeline gave None for it, shape (n,).
    """

    def __init__(
        self, dataset: BaseDataset, name: str, policy: str = 'fail', max_skips: int = 0, own: bool = False
    ) -> None:
        self.dataset, self.name, self.max_skips, self.own = dataset, name, max_skips, own
        self.skips = policy == 'skip' and not dataset.test_mode
        self.unread, self.left_out = (torch.zeros(len(dataset), dtype=torch.int32).share_memory_() for _ in range(2))
        self.events = torch.zeros(1, dtype=torch.int64).share_memory_()
        dataset.prepare_data = self

    def __call__(self, position: int) -> Any:
        """Prepare a sample, or the next one that can be read.

        Raises:
            UsageError: If it cannot be read, and must be.
        """
        count = len(self.unread)
        for at in ((int(position) + offset) % count for offset in range(count)):
            try:
                item = type(self.dataset).prepare_data(self.dataset, at)
            except (UsageError, MemoryError):
                raise
            except Exception as error:
                self._fail(at, error)
                continue
            if item is None:
                self._leave_out(at)
            return item
        raise UsageError(f'{self.name}.dataset: none of its {count} samples can be read: fix its data_prefix.')

    def file(self, position: int) -> str:
        """The file of a sample, or its number."""
        return self.dataset.get_data_info(position).get('img_path') or f'sample {position}'

    def release(self) -> None:
        """Restore the method of the data set itself."""
        vars(self.dataset).pop('prepare_data', None)

    def _fail(self, at: int, error: Exception) -> None:
        what = f'{self.name}.dataset: {self.file(at)} cannot be read ({_told(error)})'
        if not self.skips:
            raise UsageError(
                f"{what}: fix or remove it, or let training samples be skipped by dict(type='{HOOK}', policy='skip') "
                'in custom_hooks.'
            ) from error
        self.unread[at] += 1
        self.events += 1
        if self.unread.count_nonzero() > self.max_skips:
            raise UsageError(
                f'{what}, and max_skips={self.max_skips} others were skipped before: fix the data, or raise max_skips '
                f'of {HOOK}.'
            ) from error

    def _leave_out(self, at: int) -> None:
        if self.own:
            raise UsageError(
                f'{self.name}.dataset: the pipeline gives nothing for {self.file(at)}, but ContrastDataset needs every '
                'sample: fix or remove the file.'
            )
        self.left_out[at] += 1
        self.events += 1


class CheckedCollate:
    """A loader's ``collate_fn`` that names the file which does not fit into its batch; torch names sizes alone.

    Args:
        collate (callable): The ``collate_fn``.
        name (str): Key of the loader in the config.
    """

    def __init__(self, collate: Callable[[Any], Any], name: str) -> None:
        self.collate, self.name = collate, name

    def __call__(self, items: Any) -> Any:
        """Make a batch.

        Raises:
            UsageError: If the images of the items differ in shape or type, and therefore cannot form one.
        """
        try:
            return self.collate(items)
        except (UsageError, MemoryError):
            raise
        except Exception as error:
            told = [_image(item) for item in items] if isinstance(items, list) else []
            for position, (kind, file) in enumerate(told):
                if kind is not None and told[0][0] is not None and kind != told[0][0]:
                    raise UsageError(
                        f'{self.name}: {file or f"sample {position} of a batch"} is {kind}, and others of its batch '
                        f'are {told[0][0]}: fix or remove it, add a Resize to the pipeline, or set color_type of '
                        'LoadImageFromFile.'
                    ) from error
            raise


def _image(item: Any) -> tuple[str | None, str | None]:
    """Shape and type of an item's image, and its file."""
    image, sample = (item.get(key) for key in ('inputs', 'data_samples')) if isinstance(item, dict) else (None, None)
    kind = f'{tuple(image.shape)} of {image.dtype}' if isinstance(image, torch.Tensor) else None
    return kind, getattr(sample, 'img_path', None)


def _told(error: Exception) -> str:
    """The message of an error in one line, or its type if it has none."""
    return ' '.join(str(error).split()) or type(error).__name__
