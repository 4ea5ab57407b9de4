"""The networks of a distiller, as one value."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mmengine.model import ModuleDict
from torch import Tensor, nn

from ..taps import Alias, Taps
from ..tasks import Task
from .cached import CachedMember
from .classes import check_order
from .frozen import FrozenMember
from .normalization import Normalization
from .spec import MemberSpec


@dataclass
class Members:
    """The student and its teachers, by name: ``student``, ``teacher0``, ``teacher1`` and so on.

    Args:
        task (Task): How such networks run.
        specs (dict[str, MemberSpec]): What the config says of each.
        student (nn.Module): The network that is trained for use.
        peers (ModuleDict): The teachers that train along.
        views (ModuleDict): Of the peers; a frozen teacher keeps its own.
        frozen (dict[str, FrozenMember]): The teachers that do not: no submodules of a distiller.
        others (dict[str, Task]): How the teachers run that are of no kind that the student's task knows.
    """

    task: Task
    specs: dict[str, MemberSpec]
    student: nn.Module
    peers: ModuleDict
    views: ModuleDict
    frozen: dict[str, FrozenMember]
    others: dict[str, Task] = field(default_factory=dict)
    class_names: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    """By teacher, the names of the classes in its checkpoint."""

    @property
    def learners(self) -> dict[str, nn.Module]:
        """The student and the peers: the networks that have losses of their own."""
        return {'student': self.student, **self.peers}

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The student and all teachers."""
        return {**self.learners, **{name: member.network for name, member in self.frozen.items()}}

    @property
    def cached(self) -> list[CachedMember]:
        """The teachers whose logits are looked up."""
        return [member for member in self.frozen.values() if isinstance(member, CachedMember)]

    @property
    def compared(self) -> bool:
        """Whether the logits of all are known and of the same classes, and members are measured by them."""
        known = {name: network for name, network in self.networks.items() if name not in self.others}
        named = all('logits' in self.specs[name].taps for name in self.others)
        alike = len({self.number_of_classes(name) for name in known} - {None}) <= 1
        return named and alike and all(self.task.compares_members(network) for network in known.values())

    def number_of_classes(self, name: str) -> int | None:
        """How many classes the logits of a member are of, as terms read them; None if the network does not tell."""
        mapped = self.frozen[name].classes if name in self.frozen else None
        return self.task_for(name).num_classes(self.networks[name]) if mapped is None else mapped.mine

    def fit_classes(self, mine: Sequence[str] | None, where: str, read: Collection[str]) -> None:
        """Match the classes of teachers with the student's by their names, or compare them.

        Args:
            mine (sequence of str, optional): Names of the student's classes.
            where (str): Key of the data set that names them.
            read (collection of str): Members whose logits are compared with the student's.

        Raises:
            UsageError: If they are the same in another order, or cannot be matched.
        """
        for name, member in self.frozen.items():
            if member.classes is not None:
                member.classes.fit(mine, where)
            elif name in read:
                check_order(name, self.class_names.get(name), mine, where)

    @property
    def number_of_teachers(self) -> int:
        """How many teachers there are, peers and frozen ones."""
        return len(self.specs) - 1

    def task_for(self, name: str) -> Task:
        """How a member runs: as the student, unless it is a teacher of another kind."""
        return self.others.get(name, self.task)

    def dry_pass(self, taps: Taps) -> Callable[[nn.Module, Tensor], None]:
        """How a dry run runs a network, called with it and an input (N, C, H, W)."""
        tasks = {network: self.task_for(name) for name, network in self.networks.items()}
        return lambda network, inputs: tasks[network].forward(network, inputs, taps)

    def part_of(self, name: str) -> str:
        """Where a learner stands in a distiller: ``'student'``, ``'peers.teacher0'``."""
        return name if name == 'student' else f'peers.{name}'

    def aliases(self) -> dict[str, dict[str, Alias]]:
        """Short tap names by member: those of the task, and those that the config adds."""
        own = {name: self.task_for(name).aliases(network) for name, network in self.networks.items()}
        aliases = {name: {**known, **self.specs[name].taps} for name, known in own.items()}
        for name, member in self.frozen.items():
            if member.classes is not None and 'logits' in aliases[name]:
                aliases[name]['logits'] = member.classes.alias(aliases[name]['logits'])
        return aliases

    def taps(self, aliases: Mapping[str, Mapping[str, Alias]]) -> Taps:
        """Taps of all networks, which :meth:`aliases` name."""
        halved = [name for name, spec in self.specs.items() if spec.inference.halved]
        repeated = {name: self.task_for(name).repeated(network) for name, network in self.networks.items()}
        return Taps(self.networks, aliases, halved, repeated)

    def image_sizes(self, input_size: int | Sequence[int] | None) -> dict[str, Sequence[int]]:
        """Height and width of the images of a dry run, by member.

        Args:
            input_size (int | tuple[int, int], optional): The distiller's. Defaults to the student's ``img_size``, else
                the task's.
        """
        size = input_size or self.task.image_size(self.student) or self.task.input_size
        size = (size, size) if isinstance(size, int) else tuple(size)
        return {name: self.specs[name].resize or size for name in self.networks}

    def view(self, name: str, inputs: Tensor, data_samples: list | None) -> Tensor:
        """What a learner sees of the student's batch, of shape (N, C, H, W)."""
        if name not in self.views:
            return inputs
        return self.views[name](inputs, data_samples)

    def fit_views(self, pipeline: Normalization) -> None:
        """Let teachers see what they were trained on where pipelines normalize, not only preprocessors.

        Args:
            pipeline (Normalization): What the run's own does.
        """
        views = {**self.views, **{name: member.view for name, member in self.frozen.items()}}
        for name, view in views.items():
            spec = self.specs[name]
            begins = spec.trainable and spec.checkpoint is None  # and learns with this pipeline
            view.fit(pipeline, pipeline if begins else spec.pipeline)

    def accelerate(self, sizes: Mapping[str, Sequence[int]], compiled: bool | dict) -> None:
        """Let frozen teachers compute as their ``inference`` says, and compile the learners if that is asked.

        Args:
            sizes (dict): Height and width of images to try the teachers out with, by member.
            compiled (bool | dict): Whether ``torch.compile`` compiles the learners, or with which options.
        """
        for name, teacher in self.frozen.items():
            teacher.accelerate(name, self.specs[name].inference, sizes[name])
        for name, network in self.learners.items() if compiled else ():
            for part in self.task_for(name).heavy_layers(network):
                part.compile(**(compiled if isinstance(compiled, Mapping) else {}))

    def reload_peers(self) -> None:
        """Give the peers that start from a checkpoint its weights again."""
        for name, peer in self.peers.items():
            self.specs[name].load(peer)
