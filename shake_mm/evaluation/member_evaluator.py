"""The run's own metrics, of other members' predictions beside the student's."""

import copy
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric, DumpResults, Evaluator
from mmengine.logging import print_log

from .member_iou import MemberIoUMetric
from .member_metric import MemberMetric

WRITERS = ('outfile_prefix', 'output_dir', 'out_file_path', 'pred_dir')
"""Where metrics keep the name of what they write: two of them would write over each other's files."""


class MemberEvaluator:
    """Stands in an evaluator's place, and measures other members by copies of its metrics.

    What a metric says of the student keeps its name, and comes first; of a member it says ``MEMBER/NAME``, such as
    ``teacher/coco/bbox_mAP``. A name that one of the run's own metrics gives keeps their value. Copies share what a
    metric has read (the annotations), and have results of their own.

    Args:
        evaluator (Evaluator): The run's own.
        members (dict[str, str]): What the members that are measured are called in the log, by name.
        predicted (callable): Gives the predictions of the last batch by member.
        kept (dict[str, dict]): Metrics by member. Those that are there are repeated, and the member needs no
            predictions; those that :attr:`keeps` names are put there.
        keeps (collection of str): Members whose metrics do not change.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        members: Mapping[str, str],
        predicted: Callable[[], Mapping[str, Sequence[Any]]],
        kept: MutableMapping[str, dict[str, Any]],
        keeps: Collection[str] = (),
    ) -> None:
        self.evaluator, self.members, self.predicted = evaluator, members, predicted
        self.kept, self.keeps = kept, keeps
        self.copies = {name: copied(evaluator) for name in members if name not in kept}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.evaluator, name)

    def process(self, data_samples: Sequence[Any], data_batch: Any = None) -> None:
        """Give every member's predictions of a batch to its metrics."""
        for name, samples in self.predicted().items():
            if name in self.copies:
                self.copies[name].process(samples, data_batch)
        self.evaluator.process(data_samples, data_batch)

    def evaluate(self, size: int) -> dict[str, Any]:
        """The metrics of the student, then of the members.

        Args:
            size (int): Number of samples in the data set.
        """
        metrics = dict(self.evaluator.evaluate(size))
        for name, title in self.members.items():
            found = self.kept.get(name)
            if found is None:
                once = ', once, as it is frozen; later validations repeat its figures' * (name in self.keeps)
                print_log(f'{title}, measured by the same metrics{once}:', 'current')
                found = {f'{title}/{key}': value for key, value in self.copies[name].evaluate(size).items()}
            if name in self.keeps:
                self.kept[name] = found
            metrics.update((key, value) for key, value in found.items() if key not in metrics)
        return metrics


def called(members: Sequence[str]) -> dict[str, str]:
    """What members are called in the log: those alone of their kind without a number.

    Args:
        members (sequence of str): All teachers and proxies.

    Example:
        >>> called(['teacher0', 'proxy0', 'proxy1'])
        {'teacher0': 'teacher', 'proxy0': 'proxy0', 'proxy1': 'proxy1'}
    """
    kinds = [name.rstrip('0123456789') for name in members]
    return {name: kind if kinds.count(kind) == 1 else name for name, kind in zip(members, kinds)}


def copied(evaluator: Evaluator) -> Evaluator:
    """An evaluator of the same kind, for other predictions; without what compares members, or writes files.

    Args:
        evaluator (Evaluator): The run's own.
    """
    twin = copy.copy(evaluator)
    twin.metrics = []
    for metric in evaluator.metrics:
        if isinstance(metric, (MemberMetric, MemberIoUMetric)) or writes(metric):
            if not names_plainly(evaluator):
                twin.metrics.append(_Nothing())
        else:
            twin.metrics.append(copy.copy(metric))
            twin.metrics[-1].results = []
    return twin


def names_plainly(evaluator: Evaluator) -> bool:
    """Whether an evaluator is mmengine's, which computes each metric on all data and names it as the metric does.

    mmdet's of several data sets pairs metrics with sets by their places, and puts a set's name before a metric's.

    Args:
        evaluator (Evaluator): A run's own.
    """
    return type(evaluator).evaluate is Evaluator.evaluate


class _Nothing(BaseMetric):
    """Holds the place of a metric that is left out."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        pass

    def compute_metrics(self, results: list) -> dict:
        return {}


def writes(metric: Any) -> bool:
    """Whether a metric writes files under a name of its own."""
    return isinstance(metric, DumpResults) or any(getattr(metric, name, None) is not None for name in WRITERS)
