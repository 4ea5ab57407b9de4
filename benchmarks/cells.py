"""The steps of distillation configs, as the benchmark of cells compares them."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from mmengine.registry import DefaultScope

from benchmarks.plain_loops import noise_batch
from benchmarks.training import Size, Step, initialized, quiet, train_step
from shake_mm.engine import Distiller
from shake_mm.engine.stages import total_epochs
from shake_mm.members import MemberSpec
from shake_mm.registry import MODELS


class StageModel(NamedTuple):
    """A stage of a method, before its steps.

    Args:
        model (Distiller): In the stage, in training mode.
        data (dict): A batch as the data loader gives it.
        share (float): Its share of the epochs.
    """

    model: Distiller
    data: dict[str, Any]
    share: float


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
    models = stage_models(cfg, batch_size, image_size, device)
    return [StageStep(train_step(stage.model, stage.data), stage.share) for stage in models]


def stage_models(cfg: Mapping[str, Any], batch_size: int, image_size: Size, device: str) -> list[StageModel]:
    """A model and a batch for every stage of a distillation config; see :func:`cell_steps` for the arguments.

    All that is drawn is drawn from one seed: two calls give equal models.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    models, begin, last = [], 0, total_epochs(cfg)
    with quiet():
        first = _build(cfg, size)
        ends = [stage.until or last for stage in first.stages]
        for index, end in enumerate(ends):
            torch.manual_seed(0)
            model = _build(cfg, size)
            torch.manual_seed(0)  # methods compare the same student, whatever else they built
            initialized(model).to(device).train()
            if index != model.stage_index:
                model.enter_stage(index)
            model.enter_epoch(end - 1)
            data = noise_batch(model.student, batch_size, size)
            if model.num_samples is not None:
                _contrast(cfg, data['data_samples'], model.num_samples)
            models.append(StageModel(model, data, (end - begin) / last))
            begin = end
    return models


def _contrast(cfg: Mapping[str, Any], samples: list, number: int) -> None:
    """What ``ContrastDataset`` adds to the samples of a batch."""
    negatives = cfg['train_dataloader']['dataset'].get('negatives', 16384)
    for i, sample in enumerate(samples):
        sample.set_field(torch.randint(number, (negatives + 1,)), 'contrast_idx')
        sample.set_field(torch.tensor(i), 'own_idx')


def _build(cfg: Mapping[str, Any], size: tuple[int, ...]) -> Distiller:
    model = copy.deepcopy(dict(cfg['model']))
    if 'input_size' in model:  # parts of it are made for images of that size
        model['input_size'] = size
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', dict(cfg['data_preprocessor']))
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        teachers = model.get('teachers') or []
        teachers = [teachers] if isinstance(teachers, Mapping) else teachers
        model['teachers'] = [_without_weights(i, entry) for i, entry in enumerate(teachers)]
        return MODELS.build(model)


def _without_weights(number: int, entry: Any) -> Any:
    """The teacher as a built network, which needs no checkpoint."""
    network = initialized(MemberSpec.parse(f'teacher{number}', entry).build())
    others = {key: value for key, value in entry.items() if key != 'checkpoint'} if 'config' in entry else {}
    return {**others, 'config': network}
