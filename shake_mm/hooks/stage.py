"""Move a distiller from stage to stage."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from ..engine.stages import stage_at
from ..registry import HOOKS


@HOOKS.register_module()
class StageHook(Hook):
    """Enters the stage that each epoch belongs to, also after a resume.

    Where the set of trained parameters changes, the distributed wrapper is built anew: it fixes at construction which
    gradients it waits for, so ``find_unused_parameters`` can stay False. The optimizer holds all parameters from the
    start and skips those without gradient.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Any) -> None:
        """Enter the stage of the epoch that begins."""
        wrapped = is_model_wrapper(runner.model)
        model = runner.model.module if wrapped else runner.model
        if not model.enter_stage(stage_at(model.stages, runner.epoch)):
            return
        runner.logger.info(
            f'Stage {model.stage_index} begins at epoch {runner.epoch}: {model.stages[model.stage_index]}'
        )
        if wrapped:
            # The old wrapper must be gone, with its gradient hooks, before the new one is built.
            runner.model = model
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
            runner.model.train()
