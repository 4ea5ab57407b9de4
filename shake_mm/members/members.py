"""The networks of a distiller, as one value."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.model import ModuleDict
from torch import Tensor, nn

from ..errors import UsageError
from ..taps import Alias, Taps
from ..tasks import GenericTask, Task, build_task, task_of
from .cached import CachedMember
from .checkpoint import load_strictly, read_checkpoint, weights_in
from .classes import BY_NAME, ClassMap, check_order, names_in
from .frozen import FrozenMember
from .normalization import Normalization, is_known, normalization
from .spec import MemberSpec
from .view import TeacherView


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
            _load(peer, self.specs[name])


def build_members(
    student: Any, teachers: Any, data_preprocessor: Mapping[str, Any] | None = None, task: Any = None
) -> Members:
    """Build the networks of a distiller, and load the weights of those that have a checkpoint.

    Args:
        student (str | dict | nn.Module): See :meth:`MemberSpec.parse`.
        teachers (list | dict | str | nn.Module): One or several, likewise.
        data_preprocessor (dict, optional): The student's, where its own config does not hold it.
        task (dict | Task, optional): How they run. Defaults to what the student's class says.

    Raises:
        UsageError: If they cannot work together.
    """
    spec = MemberSpec.parse('student', student)
    if spec.checkpoint is not None:
        raise UsageError("student: start from trained weights with `load_from`, a student takes no 'checkpoint'.")
    if data_preprocessor is not None and isinstance(spec.model, dict):
        spec.model.setdefault('data_preprocessor', data_preprocessor)
    network = spec.build()
    # mmengine's ModuleDict: torch's would end the recursion of init_weights()
    own = task_of(network)  # which refuses a bare nn.Module, whatever the config says
    members = Members(
        own if task is None else build_task(task), {'student': spec}, network, ModuleDict(), ModuleDict(), {}
    )
    for i, teacher in enumerate(_listed(teachers)):
        _add_teacher(members, MemberSpec.parse(f'teacher{i}', teacher))
    return members


def _listed(teachers: Any) -> Iterable[Any]:
    if isinstance(teachers, (dict, str, nn.Module)):
        return [teachers]
    if not isinstance(teachers, Sequence):
        raise UsageError(f'teachers is {teachers!r}, but it must be a network or a list of them.')
    return teachers


def _add_teacher(members: Members, spec: MemberSpec) -> None:
    name, network, task = spec.name, spec.build(), members.task
    if _is_of_another_kind(task, network, name):
        members.others[name] = task = GenericTask()  # features, and logits where its `taps` name them
    members.class_names[name] = _load(network, spec)
    if task is members.task:
        task.check_teacher(members.student, network, name, resized=spec.resize is not None, trained=spec.trainable)
    view = TeacherView(*_preprocessors(members, network, spec), spec.resize, members.task.pads)
    members.specs[name] = spec
    if spec.trainable:
        members.peers[name], members.views[name] = network, view
        return
    if spec.checkpoint is None and not isinstance(spec.model, nn.Module) and not _brings_weights(spec.model):
        raise UsageError(f'{name}: a frozen teacher needs trained weights: give `checkpoint`, or `trainable=True`.')
    if spec.cache is None:
        members.frozen[name] = FrozenMember(network, view, task)
    else:
        members.frozen[name] = CachedMember(name, spec.cache, network, view, task)
    members.frozen[name].classes = _class_map(members, network, spec)


def _class_map(members: Members, network: nn.Module, spec: MemberSpec) -> ClassMap | None:
    """What takes the logits of the student's classes, if that is asked.

    Raises:
        UsageError: If it cannot be done.
    """
    if spec.classes is None:
        return None
    task, name = members.task_for(spec.name), spec.name
    channels = task.logit_channels(network, name)
    names = members.class_names[name] if spec.classes == BY_NAME else spec.classes
    if names is None:
        raise UsageError(
            f"{name}: its checkpoint does not name its classes: list them in the order of its logits, classes=['…', …]."
        )
    mine, theirs = task.num_classes(members.student), task.num_classes(network)
    if theirs != len(names) or mine is None:
        raise UsageError(f'{name}: {len(names)} names of classes for {theirs} logits: correct `classes`.')
    return ClassMap(name, names, mine, channels or theirs)


def _is_of_another_kind(task: Task, network: nn.Module, name: str) -> bool:
    """Whether a teacher is of no task of its own, and the student is."""
    try:
        return isinstance(task_of(network), GenericTask) and not isinstance(task, GenericTask)
    except UsageError as error:
        raise UsageError(str(error).replace('student', name, 1)) from None


def _brings_weights(config: Any) -> bool:
    """Whether a network's config lets its own library load weights: timm's ``pretrained``, ``from_pretrained``."""
    network = config.get('network') if isinstance(config, Mapping) else None
    if not isinstance(network, Mapping):
        return False
    return network.get('pretrained') is True or str(network.get('type')).endswith('.from_pretrained')


def _preprocessors(members: Members, network: nn.Module, spec: MemberSpec) -> tuple[nn.Module, nn.Module]:
    """The student's preprocessor, and the teacher's; the student's too where the teacher states none.

    Raises:
        UsageError: If it is not known how the images were normalized that the teacher was trained on.
    """
    student = members.student.data_preprocessor
    if spec.states_normalization:
        own = network.data_preprocessor
        unknown = [type(part).__name__ for part in (student, own) if not is_known(part)]
        if not unknown:
            return student, own
        configs = [(s.config or {}).get('data_preprocessor') for s in (members.specs['student'], spec)]
        if configs[0] is None or configs[0] != configs[1]:
            raise UsageError(
                f'{spec.name}: how a {unknown[0]} normalizes images is not known, so that they cannot be turned from '
                "the student's into the teacher's: give both the same `data_preprocessor`."
            )
        return student, student
    trained = spec.checkpoint is not None or not spec.trainable
    if trained and not normalization(student).is_identity:
        raise UsageError(
            f'{spec.name}: its config states no `data_preprocessor`, so that nobody knows how the images were '
            "normalized that it was trained on: add data_preprocessor=dict(...) to it, a copy of the student's if "
            'both were trained alike.'
        )
    return student, student


def _load(network: nn.Module, spec: MemberSpec) -> tuple[str, ...] | None:
    """Load the weights of a network that starts from a checkpoint; returns the names of classes in that."""
    if spec.checkpoint is None:
        return None
    loaded = read_checkpoint(spec.checkpoint, spec.name)
    state = weights_in(loaded, spec.name, spec.checkpoint, network, spec.key)
    load_strictly(network, state, spec.name, spec.checkpoint)
    return names_in(loaded.get('meta')) or names_in(loaded)
