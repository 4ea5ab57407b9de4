"""What a run notes of its steps, read from the device when it logs."""

from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from torch import Tensor


class DeferredInfoHook(RuntimeInfoHook):
    """Stands for mmengine's ``RuntimeInfoHook``, which waits for the device in every step, once for each loss.

    The losses of the steps since the last log stay where they are until the run logs, the epoch ends or a checkpoint is
    written; then all are read at once. The message hub holds the same values in the same order as ever, when it is
    looked at by then.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[Tensor]] = {}
        self._interval = 1

    def before_train(self, runner: Any) -> None:
        """Find out how often the run logs."""
        super().before_train(runner)
        self._waiting = {}
        self._interval = next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), 1)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Put the losses aside, and note those of all steps if that is due."""
        for name, value in (outputs or {}).items():
            if isinstance(value, Tensor):
                self._waiting.setdefault(name, []).append(value.detach())
            else:
                runner.message_hub.update_scalar(f'train/{name}', value)
        due = self.every_n_inner_iters(batch_idx, self._interval) or self.every_n_train_iters(runner, self._interval)
        if due or self.end_of_epoch(runner.train_dataloader, batch_idx):
            self._note(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Leave nothing out of what a checkpoint holds of the run's history."""
        if self._waiting:
            self._note(runner)
            checkpoint['message_hub'] = runner.message_hub.state_dict()

    def after_train(self, runner: Any) -> None:
        """Note what is left."""
        self._note(runner)
        super().after_train(runner)

    def _note(self, runner: Any) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        values = iter(torch.stack([value.reshape(()).double() for own in waiting.values() for value in own]).tolist())
        for name, own in waiting.items():
            for _ in own:
                runner.message_hub.update_scalar(f'train/{name}', next(values))
