"""Audit the first step of a run, and of every stage."""

from functools import partial
from typing import Any

from mmengine.hooks import Hook

from ..engine import Distiller
from ..engine.audit import StepAudit
from ..errors import UsageError
from ..registry import HOOKS
from ..utils import unwrap_model

PATIENCE = 5
"""Steps after which a term that has sent no gradient is a fault, and not a batch without objects."""

NEAR_CHANCE = 0.1
"""Share of the way from chance to no error below which a teacher's accuracy is warned of."""


@HOOKS.register_module()
class AuditHook(Hook):
    """Looks at the first step of a run and of each of its stages, see :class:`~shake_mm.engine.audit.StepAudit`.

    What would train on silently wrong is refused in a sentence, and what is odd is warned of, once. Later steps cost
    nothing: the audit's own hooks are gone by then. A frozen teacher that the first validation finds near chance is
    warned of too (``MemberEvalHook`` measures it). ``tools/train.py`` adds this hook to every distillation.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._stage: int | None = None
        self._audit: StepAudit | None = None
        self._steps = 0
        self._told: set[str] = set()
        self._validated = False
        self._model: Distiller | None = None

    def before_train(self, runner: Any) -> None:
        """Begin anew with each training."""
        self._stage, self._model = None, unwrap_model(runner.model)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Open the audit in the first step of a stage."""
        model = unwrap_model(runner.model)
        if model.plan is None or model.stage_index == self._stage:
            return
        self._close()
        self._stage, self._steps = model.stage_index, 0
        self._audit = StepAudit(model, partial(self._warn, runner))

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Close the audit, unless a term has yet to show that it teaches.

        Raises:
            UsageError: If one has not in several steps.
        """
        if self._audit is None:
            return
        self._steps += 1
        if not self._audit.missing or self._steps >= PATIENCE:
            missing = list(self._audit.missing.values())
            self._close()
            if missing:
                raise UsageError(missing[0])

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Warn, after the first validation, of frozen teachers that hardly know more than chance."""
        if self._validated or self._model is None or not metrics:
            return
        self._validated = True
        members = self._model.members  # the run's model may be a stand-in now
        classes = members.task.num_classes(members.student)
        if classes is None:
            return
        chance = 100 / classes
        for name in members.frozen:
            accuracy = metrics.get('teacher/top1' if members.number_of_teachers == 1 else f'{name}/top1', 100.0)
            if accuracy < chance + NEAR_CHANCE * (100 - chance):
                self._warn(
                    runner,
                    f'{name} is right in {accuracy:.1f} % of the validation images, and chance in {chance:.1f} %: '
                    'usually its `data_preprocessor` (mean, std, to_rgb) is not the one that it was trained with, '
                    'its classes are in another order, or its checkpoint is of other data.',
                )

    def after_train(self, runner: Any) -> None:
        """Close the audit where the training was shorter than it."""
        self._close()

    def _warn(self, runner: Any, sentence: str) -> None:
        if sentence not in self._told:  # what is told once is enough
            self._told.add(sentence)
            runner.logger.warning(sentence)

    def _close(self) -> None:
        if self._audit is not None:
            self._audit.close()
            self._audit = None
