"""An epoch-based loop that resumes at the very next batch, with the very same random numbers."""

from contextlib import ExitStack
from typing import Any

from mmengine.dist import all_gather_object, broadcast_object_list, get_rank, get_world_size
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from ..datasets.seeded import SeededBatchSampler, SeededDataset, seed_generators
from ..errors import UsageError
from ..registry import LOOPS

# What the main process draws for. SeededDataset makes the draws of the samples, under keys of two numbers.
EPOCH, ITERATION = 0, 1


@LOOPS.register_module()
class ExactTrainLoop(EpochBasedTrainLoop):
    """mmengine's epoch-based loop, resumable after any iteration.

    - A resumed epoch begins with the batch after the last one, under its right number.
    - At the beginning of each epoch and of each iteration the global generators are seeded from the run's seed, the
      process and the epoch or iteration. What a step draws (dropout, Mixup, the sampling of boxes) therefore does not
      depend on what was drawn before, and no generator's state has to be stored.

    A resumed run takes the checkpoint's seed, even if the config leaves the seed to chance.

    Takes the arguments of mmengine's ``EpochBasedTrainLoop``, and ``data_seed``, from which all draws come in the place
    of the run's seed: order, views, Mixup, dropout. Runs that have it in common see the same batches, whatever their
    seeds, which are then those of the initialization alone. The data loader needs ``shake_mm.SeededDataset`` and
    ``shake_mm.SeededBatchSampler``; ``tools/train.py --exact`` writes all three into a config.

    Raises:
        UsageError: If the loader lacks those, processes have unequal numbers of batches, a checkpoint would be written
            while gradients are being accumulated, or the run resumes one with other batches or another number of
            processes.
    """

    def __init__(self, *args: Any, data_seed: int | None = None, **kwargs: Any) -> None:
        if not (data_seed is None or (isinstance(data_seed, int) and data_seed >= 0)):
            raise UsageError(f'train_cfg.data_seed={data_seed!r} is no seed: give a whole number, 0 or more.')
        super().__init__(*args, **kwargs)
        self._data_seed = data_seed
        self.at_end = ExitStack()
        """What is to be done when the training ends, in whichever way; hooks' ``after_train`` misses exceptions."""

    def run(self) -> nn.Module:
        """Train from where the run stands to the end."""
        with self.at_end:
            return self._run()

    def _run(self) -> nn.Module:
        sampler = self.dataloader.batch_sampler
        if not (isinstance(sampler, SeededBatchSampler) and _is_seeded(self.dataloader.dataset)):
            raise UsageError(
                'train_dataloader: ExactTrainLoop needs a `dataset` of type shake_mm.SeededDataset and a '
                '`batch_sampler` of type shake_mm.SeededBatchSampler: leave them to --exact of tools/train.py.'
            )
        self._check_intervals()
        self._check_batches()
        self._check_place()
        shared = [self.runner.seed if self._data_seed is None else self._data_seed]
        broadcast_object_list(shared)
        self.seed = sampler.sampler.seed = shared[0]
        return super().run()

    def run_epoch(self) -> None:
        """Train on the batches that are left of an epoch."""
        seed_generators(self.seed, EPOCH, self._epoch, get_rank(), cuda=True)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        start = self._iter - self._epoch * len(self.dataloader)
        self.dataloader.batch_sampler.start = start
        for batch_idx, data_batch in enumerate(self.dataloader, start):
            self.run_iter(batch_idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Do one step, with random numbers of its own."""
        seed_generators(self.seed, ITERATION, self._iter, get_rank(), cuda=True)
        super().run_iter(idx, data_batch)

    def _check_batches(self) -> None:
        """Refuse epochs of unequal length: one process would wait for the gradients of another that has ended."""
        counts = all_gather_object(len(self.dataloader))
        if len(set(counts)) > 1:
            raise UsageError(
                f'train_dataloader: the processes have {", ".join(map(str, counts))} batches an epoch, and would wait '
                'for each other forever: leave sampler.round_up=True.'
            )

    def _check_place(self) -> None:
        """Refuse to resume a run in which the iteration count means other samples."""
        here = dict(batches=len(self.dataloader), processes=get_world_size())
        if self._data_seed is not None:
            here['data_seed'] = self._data_seed
        there = self.runner.message_hub.runtime_info.get('exact', here)
        if there != here or not 0 <= self._iter - self._epoch * here['batches'] <= here['batches']:
            raise UsageError(
                f'--resume: the checkpoint (epoch {self._epoch}, iteration {self._iter}) is of a run with {there}, '
                f'this one has {here}: keep batch size, data, data_seed and processes, or resume without --exact.'
            )
        self.runner.message_hub.update_info('exact', here)

    def _check_intervals(self) -> None:
        """Refuse checkpoints between two updates: the gradients collected so far are not part of them."""
        steps = getattr(self.runner.optim_wrapper, '_accumulative_counts', 1)
        for hook in self.runner.hooks:
            if isinstance(hook, CheckpointHook):
                interval = hook.interval * (len(self.dataloader) if hook.by_epoch else 1)
                if interval % steps:
                    raise UsageError(
                        f'checkpoint: an interval of {interval} iterations is not a multiple of accumulative_counts='
                        f'{steps}, so that gradients would be lost on resuming: choose one that is.'
                    )


def _is_seeded(dataset: Any) -> bool:
    """Whether a data set is seeded, possibly inside the slice that ``num_batch_per_epoch`` makes."""
    return isinstance(getattr(dataset, '_dataset', dataset), SeededDataset)
