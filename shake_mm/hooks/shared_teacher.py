"""One teacher for several runs."""

from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook

from ..engine import Distiller
from ..errors import UsageError
from ..loops import ExactTrainLoop
from ..members import Group, SharedMember, share_teachers
from ..registry import HOOKS
from ..utils import unwrap_model


@HOOKS.register_module()
class SharedTeacherHook(Hook):
    """Shares the passes of the frozen teachers with other runs that see the same batches.

    ``tools/run_grid.py --share-teacher`` adds it to the runs of a grid.

    Args:
        seat (str): The run's place in its group, see :class:`~shake_mm.members.exchange.Group`.
    """

    priority = 'VERY_HIGH'

    def __init__(self, seat: str) -> None:
        self.seat = seat
        self.group: Group | None = None
        self.shared: list[SharedMember] = []

    def before_train(self, runner: Any) -> None:
        """Join the group.

        Raises:
            UsageError: If the run has no teacher to share, several processes, or batches that are its own.
        """
        model = unwrap_model(runner.model)
        if not isinstance(model, Distiller) or not model.members.frozen:
            raise UsageError('--share-teacher: the config has no frozen teacher: leave it out.')
        if get_world_size() > 1:
            raise UsageError(
                '--share-teacher: a run of several processes shares its teacher with no other: leave it out.'
            )
        if not isinstance(runner.train_loop, ExactTrainLoop):
            raise UsageError('--share-teacher: runs see the same batches with --exact alone: add it.')
        self.group = Group(self.seat)
        self.shared = share_teachers(model.members, model.taps, self.group)
        runner.logger.info(f'One pass of a teacher serves {", ".join(self.group.names)}.')

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Say which step begins, and that no earlier one is needed."""
        if self.group is not None:
            self.group.enter(runner.iter)
        for member in self.shared:
            member.step = runner.iter

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Let the network itself answer between steps."""
        for member in self.shared:
            member.step = None

    def after_train(self, runner: Any) -> None:
        """Leave the group, which then waits for this run no more."""
        if self.group is not None:
            self.group.leave()
