"""Image classification with mmpretrain."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmpretrain.models.classifiers import BaseClassifier, HuggingFaceClassifier, TimmClassifier
from mmpretrain.models.heads import DeiTClsHead
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from ..taps import Alias
from .base import Task

WRAPPERS = {TimmClassifier: 'model', HuggingFaceClassifier: 'model[0]'}
"""Networks of other libraries, and the taps of their logits."""

CLASS_HEAD = 'head.layers.head'
"""The class head in mmpretrain's ``DeiTClsHead``."""


@TASKS.register_module()
class ClassificationTask(Task):
    """Any mmpretrain classifier: a backbone, perhaps a neck, and a head whose output are the logits (N, K).

    A ``TimmClassifier`` or ``HuggingFaceClassifier``, which holds a whole network of another library, can be a teacher:
    its logits are known, its stages are not.
    """

    model_types = (BaseClassifier,)
    compares_members = True

    def aliases(self, network: nn.Module) -> dict[str, Alias]:
        """Logits, features and levels.

        The levels ``f0``, ``f1``, … are what the backbone states as ``tap_points``, or the ``res_layers`` of
        mmpretrain's ResNets.
        """
        for kind, logits in WRAPPERS.items():
            if isinstance(network, kind):
                return {'inputs': 'model:input', 'logits': logits}
        backbone = getattr(network, 'backbone', None)
        layers = enumerate(getattr(backbone, 'res_layers', ()), start=1)
        points = getattr(backbone, 'tap_points', None) or {f'f{i}': layer for i, layer in layers}
        stages = {name: f'backbone.{layer}' for name, layer in points.items()}
        return {'inputs': 'backbone:input', 'logits': 'head', 'feats': 'head:input', 'pool': 'neck', **stages}

    def check_teacher(
        self, student: nn.Module, teacher: nn.Module, name: str, *, resized: bool = False, trained: bool = False
    ) -> None:
        """A teacher must be a classifier; it may see images of another size and train along."""
        if not isinstance(teacher, BaseClassifier):
            raise UsageError(
                f'{name} is a {type(teacher).__name__}, but the student classifies: give an mmpretrain classifier.'
            )

    def forward_trunk(self, network: nn.Module, inputs: Tensor) -> Any:
        """The whole pass: nothing of it depends on the student's."""
        return network(inputs, mode='tensor')

    def heavy_layers(self, network: nn.Module) -> list[nn.Module]:
        """The backbone, or the whole network of another library."""
        return [getattr(network, 'backbone', None) or network.model]

    def build_branch(self, network: nn.Module, config: dict | None) -> dict:
        """A copy of the config of the student's head."""
        config = config or {}
        head = config.get('head')
        if head is None:
            raise UsageError(
                'proxies: the student has no `head` in its config to copy: give `head=dict(...)` to the shadow head.'
            )
        return {**({'_scope_': config['_scope_']} if '_scope_' in config else {}), **head}

    def classifier(self, network: nn.Module, name: str) -> nn.Module:
        """The network's own head, with the weights that it has."""
        if getattr(network, 'head', None) is None:
            return super().classifier(network, name)
        return PooledClassifier(network.head)

    def logits_loss(self, network: nn.Module, config: dict) -> dict:
        """KL divergence of the softened logits, mean over the batch."""
        return {'type': 'KLDivLoss', **config}

    def outputs(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """The logits, of the last head where there are several."""
        out = network(inputs, mode='tensor')
        return [out[-1] if isinstance(out, (tuple, list)) else out]

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The network's head, of which there is one."""
        return [network.head]

    def num_classes(self, network: nn.Module) -> int | None:
        """The ``num_classes`` that the head states."""
        return getattr(getattr(network, 'head', None), 'num_classes', None)

    def batch_field(self, samples: Sequence[Any], name: str) -> Tensor:
        """A fact of the batch.

        ``gt_labels`` are the classes (N,); ``label`` is what mmpretrain's heads give their losses, which is the classes
        too, or scores (N, K) where samples were mixed; other names are fields of the samples.
        """
        if name == 'label':
            name = 'gt_score' if 'gt_score' in samples[0] else 'gt_labels'
        key = 'gt_label' if name == 'gt_labels' else name
        if not all(key in sample for sample in samples):
            mends = {'contrast_idx': "wrap the training set in dict(type='shake_mm.ContrastDataset', dataset=…)"}
            raise UsageError(
                f"a loss asks for '{name}', which the samples do not hold: {mends.get(name, 'add it in the pipeline')}."
            )
        values = torch.stack([sample.get(key) for sample in samples])
        return values.reshape(-1) if name == 'gt_labels' else values

    def attach_logits(self, samples: Sequence[Any], logits: Mapping[str, Tensor]) -> None:
        """Store them as the field ``member_logits``."""
        for i, sample in enumerate(samples):
            sample.set_field({name: value[i] for name, value in logits.items()}, 'member_logits')


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
