"""What the engine asks of a task."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from ..errors import UsageError
from ..registry import TASKS

if TYPE_CHECKING:
    from ..engine.taps import Alias, Taps
    from ..members import MemberSpec


class Task:
    """How the engine talks to a family of networks. Stateless: every method gets the network it is about.

    A pass without labels has two parts: :meth:`run`, and :meth:`follow` for what needs the student's pass before it.
    """

    model_types: ClassVar[tuple[type, ...]] = ()
    """Base classes by which a student is recognized."""

    shadow_source: ClassVar[str] = 'student.feats'
    """Tap that a shadow branch of the student reads by default."""

    trunk: ClassVar[tuple[str, ...]] = ('',)
    """Prefixes of the layers that :meth:`run` reaches; the others need :meth:`follow`."""

    scores: ClassVar[tuple[str, ...]] = ()
    """Prefixes of the taps for which :meth:`follow` need do no more than :meth:`scores_alone` leaves."""

    guides: ClassVar[tuple[str, ...]] = ()
    """Taps of the student that :meth:`follow` reads."""

    input_size: ClassVar[int] = 32
    """Height and width of the images of a dry run where nothing else tells."""

    pads: ClassVar[bool] = False
    """Whether images of several sizes are padded to one, so that a view must keep the padding apart."""

    compares_members: ClassVar[bool] = False
    """Whether :meth:`attach` and the member metric know these networks' logits."""

    def aliases(self, network: nn.Module) -> 'dict[str, Alias]':
        """Short tap names of a network, e.g. ``{'logits': 'head', 'f1': 'backbone.layer1'}``."""
        raise NotImplementedError

    def check(self, student: nn.Module, teacher: nn.Module, spec: 'MemberSpec') -> None:
        """Refuse a teacher that cannot be this student's.

        Raises:
            UsageError: Naming what the two disagree about.
        """

    def check_logits(self, student: nn.Module, others: Mapping[str, nn.Module]) -> None:
        """Refuse networks whose logits cannot be told apart or do not belong together.

        Args:
            student (nn.Module): The student.
            others (dict): The members whose logits a term compares, by name.

        Raises:
            UsageError: With the reason.
        """

    def learn(self, network: nn.Module, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """One pass with labels; returns the network's own losses."""
        return network(inputs, data_samples, mode='loss')

    def run(self, network: nn.Module, inputs: Tensor) -> Any:
        """One pass without labels and losses, as far as it does not depend on the student's."""
        raise NotImplementedError

    def bulk(self, network: nn.Module) -> list[nn.Module]:
        """The parts where the time of a pass goes, in its order: tensors in, tensors out."""
        raise NotImplementedError

    def follow(self, network: nn.Module, passed: Any, taps: 'Taps') -> None:
        """The rest of the pass.

        Args:
            network (nn.Module): The network.
            passed (Any): What :meth:`run` returned.
            taps (Taps): The student's are recorded.
        """

    def scores_alone(self, network: nn.Module) -> AbstractContextManager:
        """While it is entered, :meth:`follow` computes the logits and nothing else."""
        return nullcontext()

    def branch(self, network: nn.Module, config: dict | None) -> dict | nn.Module:
        """A classification branch of the architecture of the student's own, newly initialized, or its config."""
        raise NotImplementedError

    def divergence(self, network: nn.Module, config: dict) -> dict:
        """Config of the loss that compares logits of such networks.

        Args:
            network (nn.Module): The student.
            config (dict): Its arguments, such as ``tau``.
        """
        raise NotImplementedError

    def answers(self, network: nn.Module, inputs: Tensor) -> list[Tensor]:
        """What the network computes for a batch, as plain tensors (to compare an exported network with)."""
        raise NotImplementedError

    def heads(self, network: nn.Module) -> list[nn.Module]:
        """The layers that make the logits, in the order of a proxy's logits."""
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
    """The registered task that ``network`` belongs to: the most special one.

    Raises:
        UsageError: If there is none.
    """
    tasks = TASKS.module_dict.values()
    for kind in type(network).__mro__:
        for task in tasks:
            if kind in task.model_types:
                return task()
    raise UsageError(f'student: a {type(network).__name__} belongs to no known task ({", ".join(TASKS.module_dict)}).')
