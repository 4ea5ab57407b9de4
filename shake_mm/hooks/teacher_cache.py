"""Caches of teachers' logits in a run."""

import math
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from ..datasets.images import Images
from ..registry import HOOKS


@HOOKS.register_module()
class TeacherCacheHook(Hook):
    """Opens the caches of the teachers that have one, and refuses those of another training set."""

    priority = 'VERY_HIGH'

    def before_train(self, runner: Any) -> None:
        """Open them."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        members = list(getattr(model, 'cached_members', ()))
        if members:
            images = Images(runner.train_dataloader.dataset)
            for member in members:
                cache = member.open(images)
                runner.logger.info(
                    f'{member.name}: its logits are kept in {member.folder} '
                    f'({cache.shape[0]} images in {cache.shape[1]} views, {2e-9 * math.prod(cache.shape):.2f} GB).'
                )

    def after_train(self, runner: Any) -> None:
        """Let what was computed reach the disk."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for member in getattr(model, 'cached_members', ()):
            if member.cache is not None:
                member.cache.flush()
