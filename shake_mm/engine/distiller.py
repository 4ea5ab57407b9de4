"""The teacher-student model: one batch, one view, one pass per member, one loss per term."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from mmengine.model import BaseModel, ModuleDict
from torch import Tensor, nn

from ..errors import UsageError
from ..members import CachedMember, FrozenMember, MemberSpec, TeacherView, check_cacheable, load_strictly, read_weights
from ..registry import MODELS
from ..tasks import task_of
from ..validation import check_sizes
from .construction import build_objective, input_sizes
from .expand import select
from .gradient_check import check_reached
from .plan import Plan, plan_of
from .speaking import predict_as
from .stages import build_stages, resolve_bodies, set_trained
from .taps import Taps, listed
from .weighting import adaptive_groups, weigh


class Evaluation(NamedTuple):
    """Asks ``val_step`` and ``test_step`` for every member's logits, not only the student's predictions.

    Args:
        key (tuple): Identifies the batch within the run, e.g. ``('val', 3)``.
        cache (dict): Keeps the frozen teachers' logits on the CPU, so that they are computed once a run.
    """

    key: tuple
    cache: dict[tuple, Tensor]


@MODELS.register_module()
class Distiller(BaseModel):
    """A student that learns from teachers, through proxies, by terms.

    A training step runs the student once, each teacher once and without gradients, then each proxy and connector, and
    adds up the terms of the current stage. Inference (``mode='predict'`` and ``'tensor'``) runs the student alone.

    The members are called ``student``, ``teacher0``, ``teacher1``, … and ``proxy0``, ``proxy1``, … in taps. Frozen
    teachers live outside ``state_dict()`` and ``parameters()`` but follow ``.to()``, ``.half()`` and ``.double()``.
    Trained ones (``trainable=True``) are submodules like the student, under ``peers``.

    Args:
        student (str | dict | nn.Module): The network to train, see :meth:`MemberSpec.parse`.
        teachers (list | dict | str): One or several networks to learn from; a frozen one needs a ``checkpoint``.
        proxies (dict | list[dict], optional): Proxy teachers. One dict stands for one proxy per teacher.
        terms (dict[str, dict | None]): The objective, see :class:`Term` and :func:`expand_terms`.
        connectors (dict[str, dict], optional): Modules that several terms read, each with its ``source``, a tap. What
            one makes is the tap ``connectors.NAME``. (A connector of a single term stands in the term.)
        stages (dict[str, dict], optional): By name, see :class:`Stage`; several need ``shake_mm.StageHook``.
        num_samples (int, optional): Size of the training set, for losses that remember every sample.
        input_size (int | tuple[int, int], optional): Height and width of the images, from which the shapes of taps
            are inferred. Defaults to the student's ``img_size``, or 32 where it has none; networks of strides that are
            powers of two fit each other in the same way at any size.
        compile (bool | dict): Whether ``torch.compile`` compiles the student and trained teachers, or with which
            options. (A frozen teacher's ``inference`` says it for the teacher.) Defaults to False.
        data_preprocessor (dict, optional): The student's, where its own config does not hold it (the Runner passes
            the run's top-level one).
        init_cfg (dict, optional): See :class:`mmengine.model.BaseModule`.

    Raises:
        UsageError: If the parts cannot work together; the message names the key and the mend.
    """

    def __init__(
        self,
        student: Any,
        teachers: Sequence[Any] | dict | str = (),
        proxies: dict | Sequence[dict] | None = None,
        terms: Mapping[str, dict | None] | None = None,
        connectors: Mapping[str, dict] | None = None,
        stages: Mapping[str, dict | None] | Sequence[dict] | None = None,
        num_samples: int | None = None,
        input_size: int | Sequence[int] | None = None,
        compile: bool | dict = False,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        spec = MemberSpec.parse('student', student)
        if spec.checkpoint is not None:
            raise UsageError("student: start from trained weights with `load_from`, a student takes no 'checkpoint'.")
        if data_preprocessor is not None and isinstance(spec.model, dict):
            spec.model.setdefault('data_preprocessor', data_preprocessor)
        network = spec.build()
        super().__init__(data_preprocessor=network.data_preprocessor, init_cfg=init_cfg)
        self.student = network
        self.task = task_of(network)
        check_sizes(num_samples, input_size)
        self.num_samples = num_samples
        self.input_size = input_size

        # mmengine's ModuleDict: torch's would end the recursion of init_weights()
        self.peers = ModuleDict()
        self.views = ModuleDict()  # of the peers; a frozen teacher keeps its own
        self._frozen: dict[str, FrozenMember] = {}  # a plain dict: hidden from state_dict() and parameters()
        self.specs = {'student': spec}
        for i, teacher in enumerate(_as_list(teachers)):
            self._add_teacher(MemberSpec.parse(f'teacher{i}', teacher))

        objective = build_objective(self, proxies, terms, connectors)
        self.proxies, self.connectors, self.terms = objective.proxies, objective.connectors, objective.terms
        self.taps: Taps = objective.taps
        self.sources, self._origins = objective.sources, objective.origins
        sizes = input_sizes(self)
        for name, member in self._frozen.items():
            member.accelerate(name, self.specs[name].inference, sizes[name])
        for network in (self.student, *self.peers.values()) if compile else ():
            for part in self.task.bulk(network):
                part.compile(**(compile if isinstance(compile, Mapping) else {}))
        for member in self.cached_members:
            check_cacheable(member.name, self)
        self._adaptive = adaptive_groups(terms, self.terms, self._origins)

        peers = {f'peers.{name}': peer for name, peer in self.peers.items()}
        self.stages = resolve_bodies(build_stages(stages), {'student': self.student, **peers})
        self._trainable = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        for stage in self.stages:  # unknown names are an error now, not in epoch 60
            select(self._origins, stage.terms)
            stage.check_trained(self._trainable)
            check_reached(self, stage, sizes)
        self.stage_index: int | None = None
        self._plan: Plan | None = None
        if len(self.stages) == 1:
            self.enter_stage(0)
        self.evaluation: Evaluation | None = None
        self.speaker = 'student'

    # ------------------------------------------------------------------------------------------------ the step

    def forward(self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor') -> Any:
        """Losses of a training step, or the student's answer.

        Args:
            inputs (Tensor): The preprocessed batch, shape (N, C, H, W).
            data_samples (list, optional): Labels.
            mode (str): ``'loss'``, ``'predict'`` or ``'tensor'``.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict' and self.speaker != 'student':
            return predict_as(self, self.speaker, inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def loss(self, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """The weighted terms of the current stage, by log name."""
        if self._plan is None:
            raise UsageError("stages: several stages need dict(type='shake_mm.StageHook') in `custom_hooks`.")
        names, needed, labeled, followed = self._plan
        with self.taps.recording() as taps:
            # Frozen teachers first: what their layers allocate is free again before the student keeps its activations.
            frozen = [name for name in self._frozen if name in needed]
            passed = {name: self._frozen[name](inputs, data_samples) for name in frozen}
            own: dict[str, dict[str, Tensor]] = {}
            for name, network in (('student', self.student), *self.peers.items()):
                sized = data_samples if self.task.pads else None
                view = self.views[name](inputs, sized) if name in self.views else inputs
                if name in labeled:
                    own[name] = self.task.learn(network, view, data_samples)
                elif name in needed:
                    self.task.follow(network, self.task.run(network, view), taps)
            for name in frozen:
                if name in followed:
                    self._frozen[name].follow(passed[name], taps)
            self._derive(taps, needed)
            field = cache(lambda name: self.task.field(data_samples, name))
            losses: dict[str, Tensor] = {}
            for name in names:
                losses.update(self.terms[name](taps, own, field))
            weigh(losses, self._adaptive, taps)
        return losses

    def _derive(self, taps: Taps, needed: Iterable[str]) -> None:
        """Run the proxies and connectors that are needed, in the order in which they were configured."""
        for tap, source in self.sources.items():
            if tap in needed:
                kind, name = tap.split('.')
                module = self.connectors[name] if kind == 'connectors' else self.proxies[kind]
                taps.put(tap, module(taps.value(source) if kind == 'connectors' else taps.read(source)))

    # ------------------------------------------------------------------------------------------------ evaluation

    def let_speak(self, member: str) -> None:
        """Let ``mode='predict'`` give another member's predictions: a proxy's are the student's with its own classes.

        Raises:
            UsageError: If there is no such member.
        """
        known = (*self.networks, *self.proxies)
        if member not in known:
            raise UsageError(f"member '{member}' does not exist: the members are {', '.join(known)}.")
        self.speaker = member

    def val_step(self, data: Any) -> list:
        """The student's predictions; with every member's logits where :attr:`evaluation` asks for them."""
        data = self.data_preprocessor(data, False)
        if self.evaluation is None:
            return self._run_forward(data, mode='predict')
        with self.taps.recording() as taps:
            samples = self._run_forward(data, mode='predict')
            logits = {'student': taps.tensor('student.logits')}
            for name in self.peers:
                self.task.run(self.peers[name], self.views[name](data['inputs']))
                logits[name] = taps.tensor(f'{name}.logits')
            key, cache = self.evaluation
            for name, teacher in self._frozen.items():
                if (*key, name) not in cache or name in self.read_by(self.proxies):
                    teacher.follow(teacher(data['inputs']), taps)
                    cache[(*key, name)] = taps.tensor(f'{name}.logits').cpu()
                logits[name] = cache[(*key, name)]
            self._derive(taps, {f'{name}.logits' for name in self.proxies})
            logits |= {name: taps.tensor(f'{name}.logits') for name in self.proxies}
            self.task.attach(samples, logits)
        return samples

    test_step = val_step

    def read_by(self, proxies: Iterable[str]) -> set[str]:
        """The members whose taps some proxies read."""
        return {tap.partition('.')[0] for name in proxies for tap in listed(self.sources[f'{name}.logits'])}

    # ------------------------------------------------------------------------------------------------ stages

    def enter_stage(self, index: int) -> bool:
        """Begin a stage.

        Returns:
            bool: Whether the set of trained parameters may have changed.
        """
        if index == self.stage_index:
            return False
        self.stage_index = index
        self._plan = plan_of(self, self.stages[index])
        for name, teacher in self._frozen.items():
            teacher.ask_for(scores_alone=self._plan.followed.get(name, False))
        set_trained(self, self.stages[index], self._trainable)
        self.train(self.training)
        return True

    def enter_epoch(self, epoch: int) -> None:
        """Set the weights of the terms that warm up, at the beginning of ``epoch`` (counted from 0)."""
        for term in self.terms.values():
            term.factor = min((epoch + 1) / term.warmup, 1.0) if term.warmup else 1.0

    def train(self, mode: bool = True) -> 'Distiller':
        """As always, but what is not trained of peers and connectors stays in evaluation mode, as frozen teachers."""
        super().train(mode)
        for module in (*self.peers.modules(), *self.connectors.modules()) if mode else ():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self

    # ------------------------------------------------------------------------------------------------ module plumbing

    def __getattr__(self, name: str) -> Any:
        """The student's attribute where this has none: hooks that reach into the model find its ``bbox_head``, say."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            student = self.__dict__.get('_modules', {}).get('student')
            if student is None or name.startswith('_') or not hasattr(student, name):
                raise
            return getattr(student, name)

    def _apply(self, fn: Any, *args: Any, **kwargs: Any) -> 'Distiller':
        for teacher in self._frozen.values():
            teacher._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def init_weights(self) -> None:
        """Initialize what is trained; members that start from a checkpoint get its weights again."""
        super().init_weights()
        for name, peer in self.peers.items():
            if self.specs[name].checkpoint is not None:
                self._load(peer, self.specs[name])

    def get_layer_depth(self, param_name: str) -> tuple[int, int]:
        """Depth of a parameter and number of layers, for mmpretrain's layer-wise learning rate decay.

        All but the student's backbone counts as its last layer and gets the full rate.
        """
        return self.student.get_layer_depth(param_name.removeprefix('student.'))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Accept a plain checkpoint of the student too (``load_from``), and refuse one of another network."""
        mine = self.student.state_dict(prefix=f'{prefix}student.')
        if state_dict and not any(key in state_dict for key in mine):
            plain = {key: f'{prefix}{key[len(prefix) + len("student.") :]}' for key in mine}
            state_dict.update({key: state_dict.pop(name) for key, name in plain.items() if name in state_dict})
        fitting = [key for key, value in mine.items() if key in state_dict and state_dict[key].shape == value.shape]
        # mmengine loads what fits and only warns; a new classifier on known features is a fair use of that, but:
        if state_dict and 2 * len(fitting) < len(mine):
            raise UsageError(
                f'checkpoint: only {len(fitting)} of the {len(mine)} tensors of the student are in it in their shape: '
                'it is of another network.'
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    # ------------------------------------------------------------------------------------------------ construction

    def _add_teacher(self, spec: MemberSpec) -> None:
        network = spec.build()
        mine, theirs = self.task.num_classes(self.student), self.task.num_classes(network)
        if mine is not None and theirs is not None and mine != theirs:
            raise UsageError(
                f'{spec.name} has {theirs} classes and the student has {mine}: set both `num_classes` alike.'
            )
        if spec.checkpoint is not None:
            self._load(network, spec)
        self.task.check(self.student, network, spec)
        view = TeacherView(self.data_preprocessor, network.data_preprocessor, spec.resize)
        self.specs[spec.name] = spec
        if spec.trainable:
            self.peers[spec.name], self.views[spec.name] = network, view
            return
        if spec.checkpoint is None and not isinstance(spec.model, nn.Module):
            raise UsageError(
                f'{spec.name}: a frozen teacher needs trained weights: give `checkpoint`, or `trainable=True`.'
            )
        if spec.cache is None:
            self._frozen[spec.name] = FrozenMember(network, view, self.task)
        else:
            self._frozen[spec.name] = CachedMember(spec.name, spec.cache, network, view, self.task)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The student and all teachers, by member."""
        return {'student': self.student, **self.peers, **{name: m.network for name, m in self._frozen.items()}}

    @property
    def cached_members(self) -> list[CachedMember]:
        """The teachers whose logits are looked up."""
        return [member for member in self._frozen.values() if isinstance(member, CachedMember)]

    @staticmethod
    def _load(network: nn.Module, spec: MemberSpec) -> None:
        load_strictly(network, read_weights(spec.checkpoint, spec.name), spec.name, spec.checkpoint)


def _as_list(teachers: Sequence[Any] | dict | str | nn.Module) -> Sequence[Any]:
    if isinstance(teachers, (dict, str, nn.Module)):
        return [teachers]
    if not isinstance(teachers, Sequence):
        raise UsageError(f'teachers is {teachers!r}, but it must be a network or a list of them.')
    return list(teachers)
