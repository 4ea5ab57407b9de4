"""What the engine asks of a task."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS


class Task:
    """How the engine talks to a family of networks. Stateless: every method gets the network it is about."""

    model_types: ClassVar[tuple[type, ...]] = ()
    """Base classes by which a student is recognised."""

    shadow_source: ClassVar[str] = ''
    """Tap that a shadow branch of the student reads by default."""

    def aliases(self, network: nn.Module) -> dict[str, str]:
        """Short tap names of a network, e.g. ``{'logits': 'head', 'f1': 'backbone.layer1'}``."""
        raise NotImplementedError

    def learn(self, network: nn.Module, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """One pass with labels; returns the network's own losses."""
        raise NotImplementedError

    def run(self, network: nn.Module, inputs: Tensor) -> Any:
        """One pass without labels and losses."""
        raise NotImplementedError

    def branch(self, student: dict) -> dict:
        """Config of a classification branch of the architecture of the student's own."""
        raise NotImplementedError

    def num_classes(self, network: nn.Module) -> int | None:
        """Number of classes, or None if the network does not tell."""
        raise NotImplementedError

    def field(self, samples: list[Any], name: str) -> Tensor:
        """A fact of the batch that a loss asks for, e.g. ``gt_labels`` of shape (N,).

        Raises:
            UsageError: If the samples do not have it.
        """
        raise NotImplementedError

    def attach(self, samples: list[Any], logits: Mapping[str, Tensor]) -> None:
        """Put every member's logits, by member and shape (N, K), into the evaluated samples."""
        raise NotImplementedError


def task_of(network: nn.Module) -> Task:
    """The registered task that ``network`` belongs to.

    Raises:
        UsageError: If there is none.
    """
    for task in TASKS.module_dict.values():
        if isinstance(network, task.model_types):
            return task()
    raise UsageError(f'student: a {type(network).__name__} belongs to no known task ({", ".join(TASKS.module_dict)}).')
