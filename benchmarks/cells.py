"""The steps of distillation configs, as the benchmark of cells compares them."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from mmengine.registry import DefaultScope

from benchmarks.plain_loops import loops_for
from benchmarks.training import Size, Step, initialized, quiet, train_step
from shake_mm.engine import Distiller
from shake_mm.engine.stages import total_epochs
from shake_mm.members import MemberSpec
from shake_mm.registry import MODELS


class StageStep(NamedTuple):
    """A stage of a method.

    Args:
        step (Callable): One training step of it.
        share (float): Its share of the epochs.
    """

    step: Step
    share: float


def cell_steps(cfg: Mapping[str, Any], batch_size: int, image_size: Size, device: str) -> list[StageStep]:
    """The training steps of a distillation config, on noise.

    Args:
        cfg (dict): With ``model`` and ``train_cfg``, perhaps ``data_preprocessor`` and ``default_scope``. Teachers get
            random weights, which do not change the time.
        batch_size (int): Images a batch.
        image_size (int | tuple[int, int]): Height and width.
        device (str): Device of torch.

    Returns:
        list[StageStep]: One for each stage, each with a model of its own.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    steps, begin, last = [], 0, total_epochs(cfg)
    with quiet():
        first = _build(cfg)
        ends = [stage.until or last for stage in first.stages]
        for index, end in enumerate(ends):
            torch.manual_seed(0)
            model = _build(cfg)
            model.init_weights()
            model.to(device).train()
            if index != model.stage_index:
                model.enter_stage(index)
            loops = loops_for(model.task)
            data = loops.batch(model.student, batch_size, size)
            steps.append(StageStep(train_step(model, data), (end - begin) / last))
            begin = end
    return steps


def _build(cfg: Mapping[str, Any]) -> Distiller:
    model = copy.deepcopy(dict(cfg['model']))
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', dict(cfg['data_preprocessor']))
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        teachers = model.get('teachers') or []
        model['teachers'] = [_without_weights(i, entry) for i, entry in enumerate(teachers)]
        return MODELS.build(model)


def _without_weights(number: int, entry: Any) -> Any:
    """The teacher as a built network, which needs no checkpoint."""
    network = initialized(MemberSpec.parse(f'teacher{number}', entry).build())
    others = {key: value for key, value in entry.items() if key != 'checkpoint'} if 'config' in entry else {}
    return {**others, 'config': network}
