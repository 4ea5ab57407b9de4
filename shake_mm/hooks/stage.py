"""Move a distiller from stage to stage."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import is_model_wrapper

from ..engine.stages import begins_at, stage_at
from ..registry import HOOKS
from .finite_guard import optimizers_of


@HOOKS.register_module()
class StageHook(Hook):
    """Enters the stage that each epoch belongs to, also after a resume.

    Where the set of trained parameters changes, the distributed wrapper is built anew: it fixes at construction which
    gradients it waits for, so ``find_unused_parameters`` can stay False. The optimizer holds all parameters from the
    start and skips those without gradient; where the stage says so, it begins as a new one would, without momentum.

    It also tells the model the epoch, for terms whose weight warms up.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Any) -> None:
        """Enter the stage of the epoch that begins."""
        wrapped = is_model_wrapper(runner.model)
        model = runner.model.module if wrapped else runner.model
        model.enter_epoch(runner.epoch)
        if not model.enter_stage(stage_at(model.stages, runner.epoch)):
            return
        stage = model.stages[model.stage_index]
        runner.logger.info(f'Stage {model.stage_index} begins at epoch {runner.epoch}: {stage}')
        _forget_losses(runner.message_hub)
        begins = runner.iter == begins_at(model.stages, model.stage_index) * len(runner.train_dataloader)
        if stage.reset_optimizer and begins:  # not where a resumed run is in the midst of the stage's first epoch
            for optimizer in optimizers_of(runner.optim_wrapper):
                optimizer.state.clear()
        if wrapped:
            # The old wrapper must be gone, with its gradient hooks, before the new one is built.
            runner.model = model
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
            runner.model.train()


def _forget_losses(hub: MessageHub) -> None:
    """Forget what the terms were: mmengine would log the last value of one that is no longer active for ever."""
    for key in [key for key in hub.log_scalars if key.startswith('train/') and 'loss' in key]:
        hub.log_scalars.pop(key)
