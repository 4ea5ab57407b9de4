"""Evaluate the members of a distiller in the Runner's own validation and test passes."""

from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from torch import Tensor

from ..engine import MemberEvaluation, MemberPredictions, MemberPredictor
from ..engine.evaluation import StandIn
from ..members import names_in
from ..registry import HOOKS, METRICS
from ..utils import unwrap_model


@HOOKS.register_module()
class MemberEvalHook(Hook):
    """Adds :class:`MemberMetric` to the run's evaluators and the members' logits to its validation and test passes.

    The frozen teachers' logits are computed in the first pass over a data loader and kept on the CPU for the later
    ones, so that a teacher is evaluated once per run. Validation and test data must therefore not be shuffled or
    augmented at random.

    With test-time augmentation the student is evaluated alone. Segmentors are compared by their predictions, which
    every member makes anew in each pass. Detectors are not compared but evaluated as usual; ``tools/test.py --member``
    measures another member.

    Args:
        member (str): The member whose predictions the evaluators get; for another than the student, none are compared.
            Defaults to ``'student'``.
    """

    def __init__(self, member: str = 'student') -> None:
        self.member = member
        self._cache: dict[tuple, Tensor] = {}

    def before_val_epoch(self, runner: Any) -> None:
        """Let the loop evaluate the members."""
        self._begin(runner, runner.val_evaluator, 'val')

    def before_test_epoch(self, runner: Any) -> None:
        """Let the loop evaluate the members."""
        self._begin(runner, runner.test_evaluator, 'test')

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Give the run its model back."""
        self._end(runner)

    def after_test_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Give the run its model back."""
        self._end(runner)

    def _begin(self, runner: Any, evaluator: Evaluator, loop: str) -> None:
        self._end(runner)  # where an error ended an earlier pass
        if isinstance(unwrap_model(runner.model), BaseTTAModel):
            return  # several views of an image are the student's alone
        unwrap_model(runner.model).members.fit_classes(
            names_in(evaluator.dataset_meta), f'{loop}_dataloader.dataset', ()
        )
        if self.member != 'student':
            runner.model = MemberPredictor(runner.model, self.member)
        elif (members := unwrap_model(runner.model).members).compared:
            by_logits = members.task.measured_by == 'logits'
            stand_in = MemberEvaluation(runner.model, self._cache, loop) if by_logits else None
            runner.model = stand_in or MemberPredictions(runner.model)
            metric = METRICS.build(dict(type=members.task.member_metric))
            if not any(isinstance(other, type(metric)) for other in evaluator.metrics):
                metric.dataset_meta = evaluator.dataset_meta
                evaluator.metrics.append(metric)

    @staticmethod
    def _end(runner: Any) -> None:
        if isinstance(runner.model, StandIn):
            runner.model = runner.model.model
