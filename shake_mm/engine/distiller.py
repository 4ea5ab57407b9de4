"""The teacher-student model: one batch, one view, one pass per member, one loss per term."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from mmengine.model import BaseModel
from torch import Tensor

from ..errors import UsageError
from ..members import build_members, check_cacheable, fit_student_state
from ..registry import MODELS
from ..taps import Taps
from ..tasks import Task
from ..validation import check_sizes
from .compiled import check_compiled
from .gradient_check import check_gradients
from .gradient_scales import scale_gradients
from .objective import build_objective
from .plan import Plan, plan_of
from .stages import build_stages, modules_of, resolve_bodies, set_trained
from .weighting import weigh


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
        gradient_scales (dict[str, float], optional): Factors of the gradients at layers, by tap, see
            :func:`scale_gradients`.
        num_samples (int, optional): Size of the training set, for losses that remember every sample.
        input_size (int | tuple[int, int], optional): Height and width of the images, from which the shapes of taps
            are inferred. Defaults to the student's ``img_size``, or 32 where it has none; networks of strides that are
            powers of two fit each other in the same way at any size.
        compile (bool | dict): Whether ``torch.compile`` compiles the student and trained teachers, or with which
            options. (A frozen teacher's ``inference`` says it for the teacher.) Defaults to False.
        task (dict, optional): How the networks run and what their logits are, see
            :class:`~shake_mm.tasks.GenericTask`. Defaults to what the student's class says.
        data_preprocessor (dict, optional): The student's, where its own config does not hold it (the Runner passes
            the run's top-level one).
        init_cfg (dict, optional): See :class:`mmengine.model.BaseModule`.

    Raises:
        UsageError: If the parts cannot work together; the message names the key and the mend.
    """

    knobs: ClassVar[Mapping[str, str]] = {}
    """The arguments that weigh default terms, by the names of these."""

    def __init__(
        self,
        student: Any,
        teachers: Sequence[Any] | dict | str = (),
        proxies: dict | Sequence[dict] | None = None,
        terms: Mapping[str, dict | None] | None = None,
        connectors: Mapping[str, dict] | None = None,
        stages: Mapping[str, dict | None] | Sequence[dict] | None = None,
        gradient_scales: Mapping[str, float] | None = None,
        num_samples: int | None = None,
        input_size: int | Sequence[int] | None = None,
        compile: bool | dict = False,
        task: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_sizes(num_samples, input_size)
        members = build_members(student, teachers, data_preprocessor, task)
        super().__init__(data_preprocessor=members.student.data_preprocessor, init_cfg=init_cfg)
        # A pinned batch is then copied while the device works; not all preprocessors have an argument for it.
        self.data_preprocessor._non_blocking = True
        self.num_samples, self.input_size = num_samples, input_size
        self.members = members
        self.student, self.peers, self.views = members.student, members.peers, members.views
        self.objective = build_objective(members, proxies, terms, connectors, num_samples, input_size)
        self.proxies, self.connectors = self.objective.proxies, self.objective.connectors
        self.terms = self.objective.terms
        scale_gradients(members, self.objective.taps, gradient_scales)

        members.accelerate(members.image_sizes(input_size), compile)
        check_compiled(members, self.objective.taps, {*self.objective.read, *(gradient_scales or {})})
        for member in members.cached:
            check_cacheable(member, self.objective.read, self.data_preprocessor)

        learners = {members.part_of(name): network for name, network in members.learners.items()}
        self._frozen_by_stages: set[str] = set()
        self.stages = resolve_bodies(build_stages(stages), learners)
        trainable = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        for stage in self.stages:  # unknown names are an error now, not in epoch 60
            self.objective.select(stage.terms)
            stage.check_trained(trainable)
            check_gradients(members, self.objective, stage, trainable, input_size)
        self.stage_index: int | None = None
        self.plan: Plan | None = None
        if len(self.stages) == 1:
            self.enter_stage(0)

    @property
    def task(self) -> Task:
        """The task that says how the members run."""
        return self.members.task

    @property
    def taps(self) -> Taps:
        """The taps of all members and what the engine derives."""
        return self.objective.taps

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
        return self.student(inputs, data_samples, mode=mode)

    def loss(self, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """The weighted terms of the current stage, by log name."""
        if self.plan is None:
            raise UsageError("stages: several stages need dict(type='shake_mm.StageHook') in `custom_hooks`.")
        plan, members, task = self.plan, self.members, self.task
        for teacher in members.frozen.values():
            teacher.decide(inputs, data_samples)
        with self.taps.recording() as taps:
            # Frozen teachers first: what their layers allocate is free again before the student keeps its activations.
            frozen = {name: teacher for name, teacher in members.frozen.items() if name in plan.members}
            passed = {name: teacher(inputs, data_samples) for name, teacher in frozen.items()}
            own: dict[str, dict[str, Tensor]] = {}
            noted: dict[str, Any] = {'data_samples': data_samples}
            for name, network in members.learners.items():
                view = members.view(name, inputs, data_samples)
                if name in plan.labeled:
                    with task.noting(network, plan.noted if name == 'student' else ()) as facts:
                        own[name] = task.loss(network, view, data_samples)
                    noted.update(facts)
                elif name in plan.members:
                    task.forward(network, view, taps)
            for name, teacher in frozen.items():
                if name in plan.headed:
                    teacher.forward_head(passed[name], taps)
            for entry in plan.derived:
                entry.compute(taps)
            field = cache(lambda name: noted[name] if name in noted else task.batch_field(data_samples or (), name))
            losses: dict[str, Tensor] = {}
            for name in plan.terms:
                losses.update(self.terms[name](taps, own, field))
            weigh(losses, self.objective.adaptive, taps)
        return losses

    def parse_losses(self, losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of all losses, which carries its ``summands`` by name for optimizers that tell them apart."""
        total, values = super().parse_losses(losses)
        total.summands = {name: value for name, value in values.items() if 'loss' in name and name != 'loss'}
        return total, values

    # ------------------------------------------------------------------------------------------------ stages

    def enter_stage(self, index: int) -> bool:
        """Begin a stage.

        Returns:
            bool: Whether the set of trained parameters may have changed.
        """
        if index == self.stage_index:
            return False
        self.stage_index = index
        self.plan = plan_of(self.members, self.objective, self.stages[index])
        for name, teacher in self.members.frozen.items():
            teacher.shorten(logits_only=self.plan.headed.get(name, False))
        set_trained(self, self.stages[index], self._frozen_by_stages)
        self.train(self.training)
        return True

    def enter_epoch(self, epoch: int) -> None:
        """Set what changes with the epochs (weights that warm up), at the beginning of ``epoch`` (counted from 0)."""
        for term in self.terms.values():
            term.enter(epoch, by_epoch=True)

    def enter_iteration(self, iteration: int) -> None:
        """Set what changes with the iterations, before ``iteration`` (counted from 0)."""
        for term in self.terms.values():
            term.enter(iteration, by_epoch=False)

    def train(self, mode: bool = True) -> 'Distiller':
        """Set the mode; what is not trained of peers, of connectors, and by the stage, stays in evaluation mode."""
        super().train(mode)
        for module in (*self.peers.modules(), *self.connectors.modules()) if mode else ():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        for module in modules_of(self, self._frozen_by_stages) if mode else ():
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
        for teacher in self.members.frozen.values():
            teacher._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def init_weights(self) -> None:
        """Initialize what is trained; members that start from a checkpoint get its weights again."""
        super().init_weights()
        self.members.reload_peers()

    def get_layer_depth(self, param_name: str) -> tuple[int, int]:
        """Depth of a parameter and number of layers, for mmpretrain's layer-wise learning rate decay.

        All but the student's backbone counts as its last layer and gets the full rate.
        """
        return self.student.get_layer_depth(param_name.removeprefix('student.'))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        """Accept a plain checkpoint of the student too (``load_from``), and refuse one of another network."""
        fit_student_state(self.student, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
