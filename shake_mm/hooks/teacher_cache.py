"""Caches of teachers' logits in a run."""

import math
from typing import Any

from mmengine.hooks import Hook
from torch import nn

from ..datasets.images import Images
from ..engine import Distiller
from ..members import CachedMember
from ..registry import HOOKS
from ..utils import unwrap_model


@HOOKS.register_module()
class TeacherCacheHook(Hook):
    """Opens the caches of the teachers that have one, and refuses those of another training set."""

    priority = 'VERY_HIGH'

    def before_train(self, runner: Any) -> None:
        """Open the cache of each teacher that has one."""
        members = _cached(runner.model)
        if members:
            images = Images(runner.train_dataloader.dataset)
            images.number()  # before workers get the data set
            for member in members:
                cache = member.open(images)
                runner.logger.info(
                    f'{member.name}: its logits are kept in {member.folder} '
                    f'({cache.shape[0]} images in {cache.shape[1]} views, {2e-9 * math.prod(cache.shape):.2f} GB).'
                )

    def after_train(self, runner: Any) -> None:
        """Write what was computed to disk."""
        for member in _cached(runner.model):
            if member.cache is not None:
                member.cache.flush()


def _cached(model: nn.Module) -> list[CachedMember]:
    model = unwrap_model(model)
    return model.members.cached if isinstance(model, Distiller) else []
