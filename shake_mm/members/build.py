"""Build the networks of a distiller from its config, and find out whether they belong together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.model import ModuleDict
from torch import nn

from ..errors import UsageError
from ..tasks import GenericTask, Task, build_task, task_of
from .cached import CachedMember
from .classes import BY_NAME, ClassMap
from .frozen import FrozenMember
from .members import Members
from .normalization import is_known, normalization
from .spec import MemberSpec
from .view import TeacherView


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
    members.class_names[name] = spec.load(network)
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
