"""Tables of methods and pairs from finished runs, beside the paper's figures."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from scipy.stats import spearmanr

from analysis import paper
from analysis.collect import ACCURACY, Record
from analysis.summary import Stat, over_seeds
from shake_mm.errors import UsageError
from shake_mm.grid.scalars import Row as Metrics

PAPER_DATA = 'cifar100'
TEACHER, BASELINE = 'teacher', 'baseline'
TIME_REFERENCES = ('kd', 'kd-crd')


@dataclass(frozen=True)
class Row:
    """One method on one pair.

    Args:
        seeds (list[dict]): The metrics of each seed.
        seconds (float | None): Seconds per iteration of training, mean of the seeds' medians.
    """

    seeds: list[Metrics]
    seconds: float | None = None

    @cached_property
    def stats(self) -> dict[str, Stat]:
        """Mean and standard deviation of each metric over the seeds."""
        return over_seeds(self.seeds)

    @property
    def accuracy(self) -> Stat:
        """Top-1 accuracy in %, over the seeds."""
        return self.stats[ACCURACY]


@dataclass(frozen=True)
class PairTable:
    """All methods on one pair.

    Args:
        pair (str): ``'TEACHER_STUDENT'``.
        rows (dict[str, Row]): By method, in the paper's order; the networks alone are ``'teacher'`` and ``'baseline'``.
        beside (str | None): The paper's pair whose figures stand beside ours.
    """

    pair: str
    rows: dict[str, Row]
    beside: str | None = None

    @cached_property
    def paper(self) -> dict[str, float]:
        """The paper's accuracies in %, by method."""
        if self.beside is None:
            return {}
        return {method: row[self.beside] for method, row in paper.table4().items()}

    def gain(self, method: str, metric: str = ACCURACY) -> float | None:
        """How much more than the student trained alone."""
        if BASELINE not in self.rows or method in (TEACHER, BASELINE):
            return None
        return self.rows[method].stats[metric].mean - self.rows[BASELINE].stats[metric].mean

    def relative_time(self, method: str) -> float | None:
        """Time of an iteration over KD's."""
        reference = next((self.rows[name].seconds for name in TIME_REFERENCES if name in self.rows), None)
        seconds = self.rows[method].seconds
        return seconds / reference if seconds and reference and method != TEACHER else None

    def rank_correlation(self) -> str | None:
        """One sentence on whether our ordering of the distillers is the paper's; None without the paper's figures."""
        methods = [name for name in self.rows if name in self.paper and name not in (TEACHER, BASELINE)]
        if self.beside is None:
            return None
        start = f"Rank correlation of the accuracies with the paper's for {self.beside}"
        if len(methods) < 3:
            return f'{start}: not computed, n = {len(methods)} distillers are in both.'
        ours, theirs = [self.rows[name].accuracy.mean for name in methods], [self.paper[name] for name in methods]
        if len(set(ours)) == 1:
            return f'{start}: not defined, all {len(methods)} distillers are equal here.'
        result = spearmanr(ours, theirs)
        # With three methods the approximation by Student's t says nothing, and with a perfect order it says p = 0.
        p = f', p ≈ {result.pvalue:.2g}' if len(methods) > 3 and abs(result.statistic) < 1 - 1e-9 else ''
        return f'{start}: Spearman ρ = {result.statistic:.2f} over n = {len(methods)} distillers{p}.'


def arrange(records: Sequence[Record], beside: Mapping[str, str] | None = None) -> list[PairTable]:
    """Sort runs of one data set into a table for each pair.

    Args:
        records (sequence of Record): The runs.
        beside (dict[str, str], optional): The paper's pair to show beside one of ours. On CIFAR-100 the pairs of the
            paper stand beside themselves.

    Raises:
        UsageError: If the runs are of several data sets, hold no distillation, or ``beside`` names unknown pairs.
    """
    data = sorted({record.data for record in records})
    if len(data) > 1:
        raise UsageError(f'there are runs on {", ".join(data)}: choose one with --data.')
    pairs = sorted({record.pair for record in records if record.method}, key=_pair_order)
    if not pairs:
        raise UsageError('there is no finished run of a distillation config.')
    known = paper.table4()[BASELINE]
    beside = {**{pair: pair for pair in pairs if pair in known and data == [PAPER_DATA]}, **(beside or {})}
    for ours, theirs in beside.items():
        if ours not in pairs:
            raise UsageError(f"--beside: there are no runs of the pair '{ours}', only of {', '.join(pairs)}.")
        if theirs not in known:
            raise UsageError(f"--beside: the paper has no pair '{theirs}', only {', '.join(known)}.")
    return [PairTable(pair, _rows(records, pair), beside.get(pair)) for pair in pairs]


def _rows(records: Sequence[Record], pair: str) -> dict[str, Row]:
    teacher, student = pair.split('_')
    rows = {method: _row(records, method, pair) for method in {run.method for run in records if run.pair == pair}}
    rows[BASELINE] = rows.get(BASELINE) or _row(records, '', student)
    rows[TEACHER] = _teacher(records, pair) or _row(records, '', teacher)
    return {method: rows[method] for method in sorted(rows, key=_method_order) if rows[method]}


def _row(records: Sequence[Record], method: str, pair: str) -> Row | None:
    runs = [run for run in records if (run.method, run.pair) == (method, pair)]
    times = [run.seconds for run in runs if run.seconds]
    seconds = statistics.fmean(times) if times else None
    return Row([run.metrics for run in runs], seconds) if runs else None


def _teacher(records: Sequence[Record], pair: str) -> Row | None:
    """The frozen teacher as the runs of the baseline measured it."""
    seen = [
        run.metrics[f'{TEACHER}/top1']
        for run in records
        if (run.method, run.pair) == (BASELINE, pair) and f'{TEACHER}/top1' in run.metrics
    ]
    # Seeds that share one teacher are no sample of teachers.
    return Row([{ACCURACY: accuracy} for accuracy in sorted(set(seen))]) if seen else None


def _pair_order(pair: str) -> tuple:
    known = list(paper.table4()[BASELINE])
    return known.index(pair) if pair in known else len(known), pair


def _method_order(method: str) -> tuple:
    """The paper's order; a method that is not in the paper stands beside the one that its name extends."""
    known = list(paper.table4())
    if method in known:
        return known.index(method), method
    pairs = ((f'{method}-', f'{name}-') for name in known)
    related = (i for i, (ours, theirs) in enumerate(pairs) if ours.startswith(theirs) or theirs.startswith(ours))
    return next(related, len(known)), method
