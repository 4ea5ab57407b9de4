"""Evaluate the members of a distiller in the Runner's own validation and test passes."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from torch import Tensor

from ..datasets.seeded import generators_kept
from ..engine import Distiller, MemberEvaluation, MemberPredictions, MemberPredictor, measurable
from ..engine.evaluation import StandIn, others_of
from ..errors import UsageError
from ..evaluation import MemberEvaluator, called
from ..members import names_in
from ..registry import HOOKS, METRICS
from ..utils import unwrap_model


@HOOKS.register_module()
class MemberEvalHook(Hook):
    """Adds :class:`MemberMetric` to the run's evaluators and the members' logits to its validation and test passes.

    The frozen teachers' logits are computed in the first pass over a data loader and kept on the CPU for the later
    ones, so that a teacher is evaluated once per run. Validation and test data must therefore not be shuffled or
    augmented at random.

    Segmentors are compared by their predictions, which every member makes anew in each pass. Of detectors, and of what
    ``measure`` names, the run's own metrics are computed for each member, as ``teacher/coco/bbox_mAP``, see
    :class:`MemberEvaluator`: for a frozen teacher in the first validation alone, whose figures later ones repeat; for
    other members in each, at the price of a pass of theirs.

    With test-time augmentation the student is evaluated alone. ``tools/test.py --member`` measures another member in
    the student's place.

    Args:
        member (str): The member whose predictions the evaluators get; for another than the student, none are compared.
            Defaults to ``'student'``.
        measure (sequence of str | str, optional): Members that the run's own metrics measure too, or patterns of their
            names, such as ``['teacher0', 'proxy*']``, or ``'*'`` for all. Defaults to the frozen teachers of detectors,
            in validation.

    Raises:
        UsageError: If a member that ``measure`` names does not exist, or cannot be measured.
    """

    def __init__(self, member: str = 'student', measure: Sequence[str] | str | None = None) -> None:
        names = [measure] if isinstance(measure, str) else measure or ()
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
            raise UsageError(f"MemberEvalHook.measure={measure!r} must be names, such as ['teacher0', 'proxy*'].")
        self.member, self.measure = member, None if measure is None else names
        self._cache: dict[tuple, Tensor] = {}
        self._measured: dict[str, list[str]] = {}
        self._kept: dict[str, dict[str, dict[str, Any]]] = {'val': {}, 'test': {}}

    def before_train(self, runner: Any) -> None:
        """See who can be measured before the training, not after its first epoch."""
        if runner.val_loop is not None:
            self._choose(runner, runner.val_loop, 'val')

    def before_val_epoch(self, runner: Any) -> None:
        """Let the loop evaluate the members."""
        self._begin(runner, runner.val_loop, 'val')

    def before_test_epoch(self, runner: Any) -> None:
        """Let the loop evaluate the members."""
        self._begin(runner, runner.test_loop, 'test')

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Give the run its model and its evaluator back."""
        self._end(runner, runner.val_loop)

    def after_test_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Give the run its model and its evaluator back."""
        self._end(runner, runner.test_loop)

    def _begin(self, runner: Any, loop: Any, name: str) -> None:
        self._end(runner, loop)  # where an error ended an earlier pass
        if isinstance(unwrap_model(runner.model), BaseTTAModel):
            return  # several views of an image are the student's alone
        model: Distiller = unwrap_model(runner.model)
        model.members.fit_classes(names_in(loop.evaluator.dataset_meta), f'{name}_dataloader.dataset', ())
        if self.member != 'student':
            runner.model = MemberPredictor(runner.model, self.member)
            return
        measured = self._choose(runner, loop, name)
        if model.members.compared:
            metric = METRICS.build(dict(type=model.task.member_metric))
            if not any(isinstance(other, type(metric)) for other in loop.evaluator.metrics):
                metric.dataset_meta = loop.evaluator.dataset_meta
                loop.evaluator.metrics.append(metric)
        runner.model = stand_in = self._stand_in(runner.model, measured, name)
        if measured:
            titles = called(others_of(model))
            loop.evaluator = MemberEvaluator(
                loop.evaluator,
                {member: titles[member] for member in measured},
                lambda: stand_in.predicted if isinstance(stand_in, MemberPredictions) else {},
                self._kept[name],
                keeps=model.members.frozen,
            )

    def _stand_in(self, model: Any, measured: Sequence[str], loop: str) -> Any:
        """What makes the predictions that the metrics want of a pass."""
        members, own = unwrap_model(model).members, None
        if members.compared:
            if members.task.measured_by != 'logits':
                return MemberPredictions(model)  # of all members, in each pass
            own = MemberEvaluation(model, self._cache, loop)
        predicting = [name for name in measured if name not in self._kept[loop]]
        if predicting:
            return MemberPredictions(model, predicting, own or StandIn(model))
        return own or model

    def _choose(self, runner: Any, loop: Any, name: str) -> list[str]:
        """Names of the members that the run's metrics measure, once a run and loop."""
        if name not in self._measured and (self.measure is not None or name == 'val'):
            with generators_kept():
                self._measured[name] = measurable(
                    runner.model,
                    self.measure,
                    names_in(loop.evaluator.dataset_meta),
                    lambda: loop.dataloader.collate_fn([loop.dataloader.dataset[0]]),
                )
        return self._measured.get(name, [])

    @staticmethod
    def _end(runner: Any, loop: Any) -> None:
        if isinstance(runner.model, StandIn):
            runner.model = runner.model.model
        if isinstance(loop.evaluator, MemberEvaluator):
            loop.evaluator = loop.evaluator.evaluator
