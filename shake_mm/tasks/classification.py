"""Image classification with mmpretrain."""

from collections.abc import Mapping
from typing import Any

from mmpretrain.models.classifiers import BaseClassifier
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS
from .base import Task


@TASKS.register_module()
class ClassificationTask(Task):
    """Any mmpretrain classifier: a backbone, perhaps a neck, and a head whose output are the logits (N, K)."""

    model_types = (BaseClassifier,)
    aliases = {'logits': 'head', 'feats': 'head:input', 'pool': 'neck'}
    shadow_source = 'student.feats'

    def learn(self, network: nn.Module, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """See :meth:`Task.learn`."""
        return network(inputs, data_samples, mode='loss')

    def run(self, network: nn.Module, inputs: Tensor) -> Any:
        """See :meth:`Task.run`."""
        return network(inputs, mode='tensor')

    def branch(self, student: dict | None) -> dict:
        """A copy of the config of the head."""
        head = (student or {}).get('head')
        if head is None:
            raise UsageError(
                'proxies: the student has no `head` in its config to copy: give `head=dict(...)` to the shadow head.'
            )
        return {**({'_scope_': student['_scope_']} if '_scope_' in student else {}), **head}

    def num_classes(self, network: nn.Module) -> int | None:
        """The head's ``num_classes``."""
        return getattr(getattr(network, 'head', None), 'num_classes', None)

    def attach(self, samples: list[Any], logits: Mapping[str, Tensor]) -> None:
        """Stored as the field ``member_logits``."""
        for i, sample in enumerate(samples):
            sample.set_field({name: value[i] for name, value in logits.items()}, 'member_logits')
