"""A plain ``nn.Module`` with a loss, as a model of mmengine."""

from collections.abc import Callable
from typing import Any

import torch
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS


@MODELS.register_module()
class PlainModel(BaseModel):
    """Any network of torch, torchvision, timm or transformers, as a student or a teacher.

    Its layers are named below ``network``: ``student.network.layer3``. Weights that were saved from the bare network
    load as they are.

    Args:
        network (dict | nn.Module): The network, called with the batch of inputs alone. A config names a class or a
            function by its path: ``dict(type='torchvision.models.resnet18', num_classes=10)``, and may hold one that
            is its argument: ``dict(type='transformers.ViTModel', config=dict(type='transformers.ViTConfig'))``.
        loss (dict | nn.Module, optional): Called as ``loss(output, targets)``, e.g.
            ``dict(type='torch.nn.CrossEntropyLoss')``. Not needed where teacher terms alone train the network.
        target (str): The field of the samples that holds the target, where the data set gives samples and not a tensor
            of targets. Defaults to ``'gt_label'``.
        output (str | int, optional): Which entry of the network's output counts, where it is a dict or a tuple, e.g.
            ``'last_hidden_state'``. Defaults to all of it.
        data_preprocessor (dict, optional): How images are normalized, e.g. ``dict(type='ImgDataPreprocessor',
            mean=[…], std=[…], bgr_to_rgb=True)``.
        init_cfg (dict, optional): See :class:`mmengine.model.BaseModule`.

    Raises:
        UsageError: If ``network`` is no config of a module, and none itself.

    Example:
        >>> model = PlainModel(dict(type='torch.nn.Linear', in_features=4, out_features=2))
        >>> model(torch.zeros(3, 4)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        network: dict | nn.Module,
        loss: dict | nn.Module | None = None,
        target: str = 'gt_label',
        output: str | int | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.network = _built('network', network)
        self.loss_function = None if loss is None else _built('loss', loss)
        self.target, self.output = target, output

    def init_weights(self) -> None:
        """Initialize an OpenMMLab network; others have done so, or loaded their weights, when they were built."""
        if isinstance(self.network, BaseModule):
            self.network.init_weights()

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """The network's output, its loss, or samples that hold the output.

        Args:
            inputs (Tensor): The batch.
            data_samples (Tensor | list, optional): The targets, or samples that have them.
            mode (str): ``'tensor'``, ``'loss'`` or ``'predict'``. Predictions are put into the samples, as
                ``pred_score`` (probabilities) and ``pred_label`` where the output is of shape (N, K), else as
                ``prediction``; without samples they are the output and the targets.
        """
        output = self.network(inputs)
        output = output if self.output is None else output[self.output]
        if mode == 'loss':
            if self.loss_function is None:
                raise UsageError(
                    'PlainModel: a term asks for its own loss, and it has none: give it `loss`, or drop the term.'
                )
            return {'loss': self.loss_function(output, self._targets(data_samples))}
        return self._samples(output, data_samples) if mode == 'predict' else output

    def _targets(self, samples: Any) -> Any:
        if not isinstance(samples, (list, tuple)):
            return samples
        values = torch.stack([torch.as_tensor(sample.get(self.target)) for sample in samples])
        return values.squeeze(1) if values.dim() == 2 and values.shape[1] == 1 else values

    @staticmethod
    def _samples(output: Tensor, samples: Any) -> list:
        if not isinstance(samples, (list, tuple)):
            return [output, samples]
        for sample, value in zip(samples, output):
            if value.dim() == 1:
                sample.set_field(value.softmax(0), 'pred_score')
                sample.set_field(value.argmax(0, keepdim=True), 'pred_label')
            else:
                sample.set_field(value, 'prediction')
        return list(samples)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Accept the weights of the bare network too."""
        mine = self.network.state_dict(prefix=f'{prefix}network.')
        bare = {f'{prefix}{key.removeprefix(f"{prefix}network.")}': key for key in mine}
        if state_dict and not any(key in state_dict for key in mine):
            state_dict.update({key: state_dict.pop(name) for name, key in bare.items() if name in state_dict})
        super()._load_from_state_dict(state_dict, prefix, *args)


def _with_parts(config: dict) -> dict:
    """The config, with what its arguments name by paths made: the ``config`` of a network of transformers."""
    nested = {k: v for k, v in config.items() if isinstance(v, dict) and '.' in str(v.get('type'))}
    return {**config, **{key: MODELS.build(dict(value)) for key, value in nested.items()}}


def _built(name: str, part: dict | nn.Module | Callable) -> nn.Module:
    module = MODELS.build(_with_parts(part)) if isinstance(part, dict) and 'type' in part else part
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"PlainModel: {name} is {part!r}, which makes no nn.Module: give its config, with a 'type' such as "
            "'torchvision.models.resnet18'."
        )
    return module
