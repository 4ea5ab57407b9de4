"""Never skip a sample silently."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.hooks import Hook

from ..datasets.contrast import ContrastDataset
from ..datasets.readable import CheckedCollate, Reader
from ..datasets.wrapped import innermost
from ..errors import UsageError
from ..registry import HOOKS
from .recent_batches import shortened

POLICIES = ('fail', 'skip')


@HOOKS.register_module()
class ReadGuardHook(Hook):
    """Handles samples that cannot be read: the run fails and names the file, or skips and counts them.

    ``'skip'`` takes the next sample of the data set that can be read; which one depends on the data alone. Each file is
    named in the log when it is first met, and the totals follow after each epoch. Validation and test always fail.

    A pipeline that returns None makes mmengine take another sample at random. A detector's does so by design if a crop
    is empty, and ``LoadImageFromFile(ignore_empty=True)`` if a file is broken; how often is logged after each epoch.

    It watches all data sets that derive from mmengine's ``BaseDataset``, inside any wrappers.

    Args:
        policy (str): ``'fail'`` or ``'skip'``. Defaults to ``'fail'``.
        max_skips (int): With ``'skip'``, the run fails if more than this many different samples cannot be read.
            Defaults to 10.

    Raises:
        UsageError: If there is no such policy, or ``max_skips`` is less than 1.
    """

    priority = 'VERY_HIGH'

    def __init__(self, policy: str = 'fail', max_skips: int = 10) -> None:
        if policy not in POLICIES:
            raise UsageError(f"ReadGuardHook: policy='{policy}', but it must be one of {POLICIES}.")
        if not max_skips >= 1:
            raise UsageError(f"ReadGuardHook: max_skips={max_skips} must be 1 or more: policy='fail' skips none.")
        self.policy, self.max_skips = policy, max_skips
        self._readers: dict[str, list[Reader]] = {}
        self._collates: dict[str, tuple[Any, Any]] = {}
        self._events = 0
        self._named: set[str] = set()

    def before_train(self, runner: Any) -> None:
        """Watch what the run reads, before workers are started."""
        self._watch(runner, 'train', self.policy)
        if runner.val_loop is not None:
            self._watch(runner, 'val', 'fail')

    def before_test(self, runner: Any) -> None:
        """Watch what the test reads; it always fails on a sample that cannot be read."""
        self._watch(runner, 'test', 'fail')

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Log the files that could not be read."""
        self._name(runner)

    def after_train_epoch(self, runner: Any) -> None:
        """Log how many samples were replaced or left out so far."""
        self._name(runner)
        readers = self._readers['train']
        for counts, what in (
            ([reader.unread for reader in readers], 'could not be read and were replaced by the next ones'),
            ([reader.left_out for reader in readers], 'were left out, as the pipeline gave nothing for them'),
        ):
            if total := sum(int(count.sum()) for count in counts):
                files = [r.file(int(i)) for r, count in zip(readers, counts) for i in count.nonzero()[:, 0]]
                runner.logger.warning(f'by epoch {runner.epoch + 1}, {total} times {what}: {shortened(files)}')

    def after_train(self, runner: Any) -> None:
        """Stop watching the data sets of training and validation."""
        self._release('train', 'val')

    def after_test(self, runner: Any) -> None:
        """Stop watching the data sets of the test."""
        self._release('test')

    @contextmanager
    def skipping(self, dataset: Any) -> Iterator[None]:
        """Let a training set that is read before the run skip what the run will skip; nothing of it is counted."""
        readers = self._read(dataset, 'train_dataloader', 'skip') if self.policy == 'skip' else []
        try:
            yield
        finally:
            for reader in readers:
                reader.release()

    def _read(self, whole: Any, name: str, policy: str) -> list[Reader]:
        readers = []
        for dataset, wrappers in innermost(whole):
            own = any(isinstance(wrapper, ContrastDataset) for wrapper in wrappers)
            if own and policy == 'skip':
                raise UsageError(
                    "custom_hooks: ReadGuardHook with policy='skip' cannot go with ContrastDataset, which remembers "
                    "every sample at its place: use 'fail', and remove what cannot be read."
                )
            readers.append(Reader(dataset, name, policy, self.max_skips, own))
        return readers

    def _watch(self, runner: Any, mode: str, policy: str) -> None:
        name = f'{mode}_dataloader'
        loader = getattr(runner, name)
        self._readers[mode] = self._read(loader.dataset, name, policy)
        if getattr(loader, 'collate_fn', None) is not None:
            self._collates[mode] = (loader, loader.collate_fn)
            loader.collate_fn = CheckedCollate(loader.collate_fn, name)

    def _release(self, *modes: str) -> None:
        for reader in (reader for mode in modes for reader in self._readers.pop(mode, ())):
            reader.release()
        for loader, collate in (self._collates.pop(mode) for mode in modes if mode in self._collates):
            loader.collate_fn = collate

    def _name(self, runner: Any) -> None:
        """Log each file that could not be read, once."""
        events = sum(int(reader.events) for reader in self._readers['train'])
        if events == self._events:
            return
        self._events = events
        for reader in self._readers['train']:
            for file in (reader.file(int(i)) for i in reader.unread.nonzero()[:, 0]):
                if file not in self._named:
                    self._named.add(file)
                    runner.logger.warning(f'{file} cannot be read: the next sample is taken in its place')
