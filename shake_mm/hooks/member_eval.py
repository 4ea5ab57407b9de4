"""Evaluate every member of a distiller in the Runner's own validation pass."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import Tensor

from ..engine.distiller import Distiller, Evaluation
from ..evaluation import MemberMetric
from ..registry import HOOKS


@HOOKS.register_module()
class MemberEvalHook(Hook):
    """Adds :class:`MemberMetric` to the run's evaluators and the members' logits to its validation and test passes.

    The frozen teachers' logits are computed in the first pass over a data loader and kept on the CPU for the later
    ones, so that a teacher is evaluated once per run. Validation and test data must therefore not be shuffled or
    augmented at random.

    Detectors are not compared so, and evaluated as always; ``tools/test.py --member`` measures another member.
    """

    def __init__(self) -> None:
        self._cache: dict[tuple, Tensor] = {}

    def before_val_epoch(self, runner: Any) -> None:
        """Make sure that the members are measured."""
        self._prepare(runner, runner.val_evaluator)

    def before_test_epoch(self, runner: Any) -> None:
        """Make sure that the members are measured."""
        self._prepare(runner, runner.test_evaluator)

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Ask for the members' logits of this batch."""
        self._ask(runner, ('val', batch_idx))

    def before_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Ask for the members' logits of this batch."""
        self._ask(runner, ('test', batch_idx))

    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Go back to plain inference."""
        self._model(runner).evaluation = None

    def after_test_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Go back to plain inference."""
        self._model(runner).evaluation = None

    def _prepare(self, runner: Any, evaluator: Any) -> None:
        present = any(isinstance(metric, MemberMetric) for metric in evaluator.metrics)
        if self._compares(runner) and not present:
            metric = MemberMetric()
            metric.dataset_meta = evaluator.dataset_meta
            evaluator.metrics.append(metric)

    def _ask(self, runner: Any, key: tuple) -> None:
        if self._compares(runner):
            self._model(runner).evaluation = Evaluation(key, self._cache)

    def _compares(self, runner: Any) -> bool:
        model = self._model(runner)
        return model.task.compares_members and model.speaker == 'student'

    @staticmethod
    def _model(runner: Any) -> Distiller:
        return runner.model.module if is_model_wrapper(runner.model) else runner.model
