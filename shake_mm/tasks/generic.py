"""Any model of mmengine: its own loss, and terms between taps that the config names."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS, takes
from ..taps import Alias
from ..utils import copy_module
from .base import Task


@TASKS.register_module()
class GenericTask(Task):
    """Any mmengine ``BaseModel`` of no other task: mmpose, mmaction, mmdet3d, a class of one's own, `PlainModel`.

    The student learns from its own loss, and by layer names from a teacher that needs no labels: its pass is
    ``network(inputs, mode='tensor')``. Logits are compared where the config says which they are, and how::

        task = dict(type='shake_mm.GenericTask', logits='head.fc', divergence=dict(type='KLDivLoss'))

    Args:
        logits (str, optional): The layer below a network whose output are its logits, perhaps with an element:
            ``'head.final_layer'``, ``'head[0]'``. Where teacher and student name it differently, ``taps`` of a member's
            entry says so.
        divergence (dict, optional): What compares them, e.g. ``dict(type='KLDivLoss')``.
        forward (dict, optional): Arguments of a pass without labels. Defaults to ``dict(mode='tensor')``.
        input_shape (Sequence[int], optional): Shape (C, H, W) of an input, to infer the shapes of taps by, and to
            compare an exported network with. Defaults to (3, H, W) of the distiller's ``input_size``.
        num_classes (int, optional): How many classes the logits, of shape (N, K), are scores of, where each image has
            one, its target or ``gt_label``. Members are then measured as those of a classifier are.

    Raises:
        UsageError: If an argument is no such thing.
    """

    model_types = (BaseModel,)
    takes_images: ClassVar[bool] = False

    def __init__(
        self,
        logits: str | None = None,
        divergence: dict | None = None,
        forward: dict | None = None,
        input_shape: Sequence[int] | None = None,
        num_classes: int | None = None,
    ) -> None:
        shape: tuple[int, ...] = () if input_shape is None else tuple(input_shape)
        for right, message in (
            (logits is None or isinstance(logits, str), f'logits={logits!r} must be the name of a layer'),
            (divergence is None or 'type' in divergence, f'divergence={divergence!r} must be a config with a `type`'),
            (len(shape) in (0, 3), f'input_shape={input_shape!r} must be channels, height and width'),
            (
                num_classes is None or (isinstance(num_classes, int) and num_classes > 1 and logits is not None),
                f'num_classes={num_classes!r} must be the number of classes that `logits` names the scores of',
            ),
        ):
            if not right:
                raise UsageError(f'task: {message}.')
        self.logits, self.divergence, self.classes = logits, divergence, num_classes
        self.arguments = {'mode': 'tensor', **(forward or {})}
        self.shape = shape
        if shape:
            self.channels, self.input_size = shape[0], shape[1:]

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """``logits``, and ``feats``, what the layer receives that makes them."""
        return {} if self.logits is None else {'logits': self.logits, 'feats': f'{self._layer}:input'}

    def trunk_end(self, network: nn.Module) -> str:
        """What the layer reads that makes the logits, where there is neither a neck nor a backbone."""
        return super().trunk_end(network) or ('' if self.logits is None else f'{self._layer}:input')

    def num_classes(self, network: nn.Module) -> int | None:
        """What the config says; nobody knows which attribute of the network does."""
        return self.classes

    def compares_members(self, network: nn.Module) -> bool:
        """Whether the config says that logits are scores of classes."""
        return self.classes is not None

    def check_scores(self, network: nn.Module, name: str, learns: bool) -> None:
        """Logits are those that the config names."""
        if self.logits is None:
            raise UsageError(
                f'{name}: which layer of a {type(network).__name__} makes its logits is not known: name it, and what '
                "compares them, in task=dict(type='shake_mm.GenericTask', logits='head.fc', "
                "divergence=dict(type='KLDivLoss')), or distill features."
            )
        layers = [key for key, _ in network.named_modules() if key and not key.startswith('data_preprocessor')]
        if self._layer not in layers:
            near = difflib.get_close_matches(self._layer, layers, n=3, cutoff=0.4) or layers[:3]
            raise UsageError(
                f"task: logits='{self.logits}' names no layer of {name}: name another, such as {' or '.join(near)}, or "
                f'give {name} taps=dict(logits=…) of its own.'
            )

    def forward_trunk(self, network: nn.Module, inputs: Tensor) -> Any:
        """The whole pass, without labels."""
        required = [
            name
            for name, parameter in inspect.signature(network.forward).parameters.items()
            if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        unlabeled = {name: None for name in required[1:]}  # mmpose asks for `data_samples`, of which there are none
        return network(inputs, **{**unlabeled, **self.arguments})

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """All tensors that the pass gives."""
        try:
            found = _tensors(self.forward_trunk(network, inputs))
        except Exception as error:  # whatever a network does with a tensor that it does not take
            reason = ' '.join(str(error).split())
            raise UsageError(
                f'a {type(network).__name__} does not take an input of shape {tuple(inputs.shape[1:])} ({reason}): '
                "name the right one in task=dict(type='shake_mm.GenericTask', input_shape=(…))."
            ) from error
        if not found:
            raise UsageError(
                f'a {type(network).__name__} gives no tensor in {self.arguments}: name another pass in '
                "task=dict(type='shake_mm.GenericTask', forward=dict(mode=…))."
            )
        return found

    def raw_outputs(self, network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
        """All tensors that the pass gives, in its order: ``output_0``, …."""
        return {f'output_{i}': value for i, value in enumerate(self.outputs(network, inputs))}

    def input_shape(self, config: Mapping[str, Any]) -> tuple[int, int, int]:
        """That of the config, else one that its backbone states."""
        return self.shape if len(self.shape) == 3 else super().input_shape(config)

    def heavy_layers(self, network: nn.Module) -> list[nn.Module]:
        """The backbone, or all of the network."""
        return [next((part for key in ('backbone', 'network') if (part := getattr(network, key, None))), network)]

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The layer that makes the logits."""
        return [] if self.logits is None else [network.get_submodule(self._layer)]

    def replaced(self, head: nn.Module, output: Any, logits: Tensor) -> Any:
        """The element that holds the logits is another; all else stays."""
        places = [int(place) for place in (self.logits or '').replace(']', '').split('[')[1:]]
        return _with(output, places, logits)

    def build_branch(self, network: nn.Module, config: dict | None) -> nn.Module:
        """The layer that makes the logits, with weights of its own, initialized anew."""
        if self.logits is None:
            self.check_scores(network, 'student', True)
        (head,) = self.heads(network)
        if '[' in str(self.logits) or not list(head.parameters()):
            raise UsageError(
                f"proxies: a copy of the student's {self.logits} would be no layer that makes logits: give "
                "dict(type='ShadowHead', head=dict(…), source='student.…')."
            )
        return initialized_copy(head, f'proxies: the {self.logits} of the student')

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """What the config says; the distiller's temperature is for a divergence that has one."""
        if self.divergence is None:
            raise UsageError(
                f'student: how logits of a {type(network).__name__} are compared is not known: name it in '
                "task=dict(type='shake_mm.GenericTask', logits=…, divergence=dict(type='KLDivLoss'))."
            )
        known = {key: value for key, value in config.items() if takes(self.divergence['type'], key)}
        return {**known, **self.divergence}

    def attach_logits(self, network: nn.Module, samples: Any, logits: Mapping[str, Tensor]) -> None:
        """Store them as the field ``member_logits``; a pair of outputs and targets becomes a list of samples."""
        if len(samples) == 2 and isinstance(samples[0], Tensor):  # of a plain network, which makes no samples
            scores, targets = samples
            samples[:] = [
                {'pred_score': row.softmax(0), 'pred_label': row.argmax(0, keepdim=True), 'gt_label': target.reshape(1)}
                for row, target in zip(scores, targets)
            ]
        for i, sample in enumerate(samples):
            own = {name: value[i] for name, value in logits.items()}
            sample.update(member_logits=own) if isinstance(sample, dict) else sample.set_field(own, 'member_logits')

    def batch_field(self, samples: Any, name: str) -> Tensor:
        """``gt_labels``: a tensor of targets, or their field ``gt_label``; other names are fields of the samples."""
        if isinstance(samples, Tensor) and name in ('gt_labels', 'label'):
            return samples
        key = 'gt_label' if name in ('gt_labels', 'label') else name
        try:
            values = torch.stack([getattr(sample.get(key), 'data', sample.get(key)) for sample in samples])
        except (TypeError, AttributeError):
            raise UsageError(
                f"a loss asks for '{name}', which the samples do not hold: add it in the pipeline."
            ) from None
        return values.reshape(-1) if name == 'gt_labels' else values

    @property
    def _layer(self) -> str:
        return str(self.logits).partition('[')[0]


def initialized_copy(module: nn.Module, where: str) -> nn.Module:
    """A copy of a module, initialized as if it were new.

    Args:
        module (nn.Module): What is copied; it stays as it is.
        where (str): What it is, named in errors.

    Raises:
        UsageError: If a layer of it does not say how it is initialized.
    """
    copy = copy_module(module).train().requires_grad_(True)
    for layer in copy.modules():
        reset = getattr(layer, 'reset_parameters', None) or getattr(layer, '_reset_parameters', None)
        if reset is not None:
            reset()
        elif layer._parameters and not hasattr(layer, 'init_weights'):
            raise UsageError(
                f'{where} holds a {type(layer).__name__}, which does not say how it is initialized: give '
                "dict(type='ShadowHead', head=dict(…))."
            )
        if hasattr(layer, 'is_init'):  # mmengine initializes once
            layer.is_init = False
    if hasattr(copy, 'init_weights'):
        copy.init_weights()
    return copy


def _tensors(value: Any) -> list[Tensor]:
    """The tensors in nested lists and dicts, in their order."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return [value] if isinstance(value, Tensor) else []


def _with(output: Any, places: Sequence[int], value: Tensor) -> Any:
    if not places:
        return value
    items = list(output)
    items[places[0]] = _with(items[places[0]], places[1:], value)
    return tuple(items) if isinstance(output, tuple) else items
