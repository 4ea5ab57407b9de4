"""Image classification with mmpretrain."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmpretrain.models.backbones.resnet import BasicBlock, Bottleneck
from mmpretrain.models.classifiers import BaseClassifier
from mmpretrain.models.heads import ConformerHead, CSRAClsHead, DeiTClsHead, MultiTaskHead
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS, TASKS
from ..taps import Alias, Combined
from .base import Task
from .scores import LogitsHead, activation_of, check_scores, logits_in, logits_tap, replaced, scores_in
from .stages_behind import stages_behind, swin_levels
from .wrapped import is_wrapped, last_layer, wrapped_aliases, wrapped_branch, wrapped_classes, wrapped_size

SUMMED = {BasicBlock: 'norm2_name', Bottleneck: 'norm3_name'}
"""Residual blocks of mmpretrain, and what holds the name of the norm whose output they add to the shortcut."""

CLASS_HEAD = 'head.layers.head'
"""The class head in mmpretrain's ``DeiTClsHead``."""


@TASKS.register_module()
class ClassificationTask(Task):
    """Any mmpretrain classifier: a backbone, perhaps a neck, and a head that predicts by logits (N, K).

    What compares logits, and what members are measured by, is the head's: with a softmax the divergence of
    distributions over the classes, with sigmoids (multi-label heads) that of each class by itself.

    A ``TimmClassifier`` or ``HuggingFaceClassifier`` holds a whole network of another library: its logits are known and
    what its last layer reads, but not its stages.
    """

    model_types = (BaseClassifier,)

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """Logits, features and levels; of a Swin the maps of its stages.

        The levels ``f0``, ``f1``, … are what the backbone states as ``tap_points``, or the ``res_layers`` of
        mmpretrain's ResNets, of which ``f1.preact`` is the sum of the last block before its ReLU.
        """
        if is_wrapped(network):
            return wrapped_aliases(network)
        backbone = getattr(network, 'backbone', None)
        layers = enumerate(getattr(backbone, 'res_layers', ()), start=1)
        points = getattr(backbone, 'tap_points', None) or {f'f{i}': layer for i, layer in layers}
        stages: dict[str, Alias] = {name: f'backbone.{layer}' for name, layer in points.items()}
        stages |= {**_sums_of(backbone, points), **swin_levels(backbone)}
        own: Alias = 'head' if getattr(network, 'head', None) is None else logits_tap(network.head)
        return {'inputs': 'backbone:input', 'logits': own, 'feats': 'head:input', 'pool': 'neck', **stages}

    def compares_members(self, network: nn.Module) -> bool:
        """All but those of several tasks, whose samples hold no label of their own."""
        return not isinstance(getattr(network, 'head', None), MultiTaskHead)

    def check_teacher(
        self, student: nn.Module, teacher: nn.Module, name: str, *, resized: bool = False, trained: bool = False
    ) -> None:
        """A teacher must be a classifier; it may see images of another size and train along."""
        if not isinstance(teacher, BaseClassifier):
            raise UsageError(
                f'{name} is a {type(teacher).__name__}, but the student classifies: give an mmpretrain classifier.'
            )

    def image_size(self, network: nn.Module) -> int | Sequence[int] | None:
        """What the backbone states, or the network of another library."""
        return wrapped_size(network) if is_wrapped(network) else super().image_size(network)

    def trunk_end(self, network: nn.Module) -> str:
        """Of a network of another library, what its last layer reads."""
        if not is_wrapped(network):
            return super().trunk_end(network)
        name, _ = last_layer(network)
        return '' if name is None else f'{name}:input'

    def check_shadow(self, network: nn.Module, name: str) -> None:
        """A network of another library must end in one linear layer."""
        if is_wrapped(network) and last_layer(network)[0] is None:
            raise UsageError(
                f'{name}: the network of a {type(network).__name__} does not end in one linear layer that a shadow '
                "could copy: give proxies=dict(type='ShadowNetwork'), or dict(type='ShadowHead', head=dict(…), "
                "source='student.model.…')."
            )

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """All must make scores of their logits in the same way."""
        mine = activation_of(getattr(student, 'head', None))
        for name, network in others.items():
            its = activation_of(getattr(network, 'head', None))
            if its != mine:
                raise UsageError(
                    f'{name} predicts by a {its} and the student by a {mine}, so their logits mean different things: '
                    'give both heads of one kind, or distill features.'
                )

    def check_scores(self, network: nn.Module, name: str, learns: bool) -> None:
        """The tap of the logits must hold what the head predicts by, see :mod:`~shake_mm.tasks.scores`."""
        check_scores(network, name, learns)

    def forward_trunk(self, network: nn.Module, inputs: Tensor) -> Any:
        """The whole pass: nothing of it depends on the student's."""
        return network(inputs, mode='tensor')

    def heavy_layers(self, network: nn.Module) -> list[nn.Module]:
        """The backbone, or the whole network of another library."""
        return [getattr(network, 'backbone', None) or network.model]

    def build_branch(self, network: nn.Module, config: dict | None) -> dict | nn.Module:
        """A copy of the config of the student's head, or such a head where its output are not the logits."""
        if is_wrapped(network):
            return wrapped_branch(network)
        config = config or {}
        head = config.get('head')
        if head is None:
            raise UsageError(
                'proxies: the student has no `head` in its config to copy: give `head=dict(...)` to the shadow head.'
            )
        if not list(network.head.parameters()):
            raise UsageError(
                f"proxies: the student's {type(network.head).__name__} has no layers to copy, as its backbone "
                "classifies, and a shadow would be the student itself: give proxies=dict(type='ShadowNetwork'), or "
                "dict(type='ShadowHead', head=dict(type='LinearClsHead', num_classes=…, in_channels=…), "
                "source='student.backbone.…') on features (N, C) of the backbone."
            )
        config = {**({'_scope_': config['_scope_']} if '_scope_' in config else {}), **head}
        return LogitsHead(MODELS.build(config)) if isinstance(network.head, ConformerHead) else config

    def classifier(self, network: nn.Module, name: str) -> nn.Module:
        """The network's own head, with the weights that it has."""
        if getattr(network, 'head', None) is None:
            return super().classifier(network, name)
        if isinstance(network.head, ConformerHead) or not list(network.head.parameters()):
            raise UsageError(
                f'{name}: the {type(network.head).__name__} of its teacher does not classify pooled features (N, C): '
                'use another proxy.'
            )
        return PooledClassifier(network.head)

    def behind(self, network: nn.Module, paths: Sequence[str], name: str) -> nn.Module:
        """The later stages of the backbone behind one of its levels."""
        return stages_behind(network, paths, name)

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """KL divergence of the softened logits, mean over the batch; of every class where each has a sigmoid."""
        sigmoid = activation_of(getattr(network, 'head', None)) == 'sigmoid'
        return {'type': 'BernoulliKLLoss' if sigmoid else 'KLDivLoss', **config}

    def logits_of(self, network: nn.Module, output: Any) -> Tensor:
        """The logits that the head predicts by."""
        output = getattr(output, 'logits', output)  # of transformers
        return logits_in(output, getattr(network, 'head', None))

    def replaced(self, head: nn.Module, output: Any, logits: Tensor) -> Any:
        """With several outputs, all those by which the head predicts."""
        if not hasattr(output, 'logits'):
            return replaced(output, logits, head)
        changed = copy.copy(output)
        changed.logits = logits
        return changed

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """The logits; those of every task where there are several."""
        output = network(inputs, mode='tensor')
        return list(output.values()) if isinstance(output, dict) else [self.logits_of(network, output)]

    def raw_outputs(self, network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
        """``logits`` and ``scores``, what the head makes of them, (N, K); the logits of every task by its name."""
        output = network(inputs, mode='tensor')
        if isinstance(output, dict):
            return output
        logits = self.logits_of(network, output)
        scores = scores_in(logits, getattr(network, 'head', None))
        return {'logits': logits} if scores is None else {'logits': logits, 'scores': scores}

    def input_shape(self, config: Mapping[str, Any]) -> tuple[int, int, int]:
        """A LeNet takes gray images of one size alone."""
        lenet = str(config.get('backbone', {}).get('type')).rpartition('.')[2] == 'LeNet5'
        return (1, 32, 32) if lenet else super().input_shape(config)

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The network's head, of which there is one; the whole network of another library."""
        return [network.model if is_wrapped(network) else network.head]

    def num_classes(self, network: nn.Module) -> int | None:
        """What the head states, else what its layers, or the backbone that classifies, make."""
        if is_wrapped(network):
            return wrapped_classes(network)
        head = getattr(network, 'head', None)
        if isinstance(head, CSRAClsHead):
            return head.csra_heads[0].head.out_channels
        if head is not None and not list(head.parameters()):
            classes = getattr(network.backbone, 'num_classes', None)
            return classes if isinstance(classes, int) and classes > 0 else None
        return getattr(head, 'num_classes', None)

    def check_samples(self, network: nn.Module, samples: Sequence[Any]) -> None:
        """A softmax learns from one class a sample, or its scores; sigmoids from any number of classes."""
        if not self.compares_members(network):
            return
        for sample in samples:
            if 'gt_label' not in sample and 'gt_score' not in sample:
                raise UsageError('the samples hold no label (`gt_label`): add it to the annotations.')
            classes = 1 if 'gt_score' in sample else len(sample.gt_label)
            if classes != 1 and activation_of(getattr(network, 'head', None)) == 'softmax':
                raise UsageError(
                    f'a sample has {classes} classes, and a {type(network.head).__name__} predicts one: give the '
                    "network a multi-label head, e.g. dict(type='MultiLabelLinearClsHead', …)."
                )

    def batch_field(self, samples: Sequence[Any], name: str) -> Tensor:
        """A fact of the batch.

        ``gt_labels`` are the classes (N,); ``label`` is what mmpretrain's heads give their losses, which is the classes
        too, or scores (N, K) where samples were mixed or have several classes; other names are fields of the samples.
        """
        if name == 'label':
            name = 'gt_score' if 'gt_score' in samples[0] else 'gt_labels'
        key = 'gt_label' if name == 'gt_labels' else name
        if not all(key in sample for sample in samples):
            mends = {'contrast_idx': "wrap the training set in dict(type='shake_mm.ContrastDataset', dataset=…)"}
            raise UsageError(
                f"a loss asks for '{name}', which the samples do not hold: {mends.get(name, 'add it in the pipeline')}."
            )
        if name == 'gt_labels' and any(sample.get(key).numel() != 1 for sample in samples):
            raise UsageError(
                'a loss asks for the class of every sample, and these have several, or none: give it their scores '
                '(data_preprocessor=dict(to_onehot=True)), or use a loss that reads no labels.'
            )
        values = torch.stack([sample.get(key) for sample in samples])
        return values.reshape(-1) if name == 'gt_labels' else values

    def attach_logits(self, network: nn.Module, samples: Sequence[Any], logits: Mapping[str, Tensor]) -> None:
        """Store them as the field ``member_logits``, and ``member_activation``, how scores are made of them."""
        activation = activation_of(getattr(network, 'head', None))
        for i, sample in enumerate(samples):
            sample.set_field({name: value[i] for name, value in logits.items()}, 'member_logits')
            sample.set_field(activation, 'member_activation', field_type='metainfo')


class PooledClassifier(nn.Module):
    """The head of a classifier, which it does not own, for features that were pooled already.

    Args:
        head (nn.Module): A head that takes a tuple of levels. It is not a part of this.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.__dict__['_head'] = head  # not a submodule: it is in no checkpoint of this
        self.in_channels: int | None = getattr(head, 'in_channels', None)

    def forward(self, pooled: Tensor) -> Tensor:
        """Logits (N, K) of features (N, C)."""
        return self._head.forward((pooled,))  # not by a call, which a tap of the head's output would record


def class_head_alone(student: nn.Module) -> dict[str, Tensor]:
    """Weights with which a DeiT answers by its class head.

    mmpretrain's head returns the mean of its two: the class head's weights are doubled, the distillation head's are
    zero, and the mean is what the class head said, to the bit.

    Args:
        student (nn.Module): A classifier with a ``DeiTClsHead``; it stays as it is.

    Returns:
        dict[str, Tensor]: Its state dict, changed.

    Raises:
        UsageError: If it has another head.
    """
    if not isinstance(getattr(student, 'head', None), DeiTClsHead):
        raise UsageError(
            'export: the student has no DeiTClsHead, whose class head could be written alone: leave out '
            '--class-head-only (`class_head_only`).'
        )
    factors = {CLASS_HEAD: 2.0, 'head.layers.head_dist': 0.0}
    return {key: value * factors.get(key.rpartition('.')[0], 1) for key, value in student.state_dict().items()}


def _sums_of(backbone: nn.Module | None, levels: Mapping[str, str]) -> dict[str, Alias]:
    """The residual sums at the ends of the stages of mmpretrain's ResNets, which no layer of their own makes."""
    sums: dict[str, Alias] = {}
    for name, layer in levels.items() if getattr(backbone, 'res_layers', None) else ():
        stage = getattr(backbone, layer)
        block, place = stage[-1], f'backbone.{layer}.{len(stage) - 1}'
        norm = next((n for kind, n in SUMMED.items() if type(block).forward is kind.forward), None)
        if norm is None or not isinstance(block.drop_path, nn.Identity):
            continue
        shortcut = f'{place}:input' if block.downsample is None else f'{place}.downsample'
        sums[f'{name}.preact'] = Combined((f'{place}.{getattr(block, norm)}', shortcut), torch.add)
    return sums
