"""Image classification with mmpretrain."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from mmpretrain.models.classifiers import BaseClassifier, HuggingFaceClassifier, TimmClassifier
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from .base import Task

if TYPE_CHECKING:
    from ..members import MemberSpec

WRAPPERS = {TimmClassifier: 'model', HuggingFaceClassifier: 'model[0]'}
"""Networks of other libraries, and the taps of their logits."""


@TASKS.register_module()
class ClassificationTask(Task):
    """Any mmpretrain classifier: a backbone, perhaps a neck, and a head whose output are the logits (N, K).

    A ``TimmClassifier`` or ``HuggingFaceClassifier``, which holds a whole network of another library, can be a teacher:
    its logits are known, its stages are not.
    """

    model_types = (BaseClassifier,)
    compares_members = True

    def aliases(self, network: nn.Module) -> dict[str, str]:
        """See :meth:`Task.aliases`.

        The stages ``f0``, ``f1``, … are what the backbone states as ``tap_points``, or the ``res_layers`` of
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

    def check(self, student: nn.Module, teacher: nn.Module, spec: 'MemberSpec') -> None:
        """See :meth:`Task.check`."""
        if not isinstance(teacher, BaseClassifier):
            raise UsageError(
                f'{spec.name} is a {type(teacher).__name__}, but the student classifies: give an mmpretrain classifier.'
            )

    def run(self, network: nn.Module, inputs: Tensor) -> Any:
        """See :meth:`Task.run`."""
        return network(inputs, mode='tensor')

    def bulk(self, network: nn.Module) -> list[nn.Module]:
        """The backbone."""
        return [getattr(network, 'backbone', None) or network.model]

    def branch(self, network: nn.Module, config: dict | None) -> dict:
        """A copy of the config of the head."""
        head = (config or {}).get('head')
        if head is None:
            raise UsageError(
                'proxies: the student has no `head` in its config to copy: give `head=dict(...)` to the shadow head.'
            )
        return {**({'_scope_': config['_scope_']} if '_scope_' in config else {}), **head}

    def divergence(self, network: nn.Module, config: dict) -> dict:
        """See :meth:`Task.divergence`."""
        return {'type': 'KLDivLoss', **config}

    def answers(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """The logits."""
        out = network(inputs, mode='tensor')
        return [out[-1] if isinstance(out, (tuple, list)) else out]

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The head."""
        return [network.head]

    def num_classes(self, network: nn.Module) -> int | None:
        """The head's ``num_classes``."""
        return getattr(getattr(network, 'head', None), 'num_classes', None)

    def field(self, samples: list[Any], name: str) -> Tensor:
        """See :meth:`Task.field`.

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

    def attach(self, samples: list[Any], logits: Mapping[str, Tensor]) -> None:
        """Stored as the field ``member_logits``."""
        for i, sample in enumerate(samples):
            sample.set_field({name: value[i] for name, value in logits.items()}, 'member_logits')
