"""What the members and their ensemble achieve, and the gaps between them."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor
from torch.nn import functional as F

from ..errors import UsageError
from ..registry import METRICS


@METRICS.register_module()
class MemberMetric(BaseMetric):
    r"""Compares the members of a distiller on the evaluation set.

    - ``teacher/top1``, ``proxy/top1``: accuracy in percent (the student's is the run's own ``accuracy/top1``; it is
      repeated here as ``student/top1``, which differs only where the student does not predict by its logits, as with
      DeiT's class head). With several of a kind, ``proxy0/top1`` and so on.
    - ``ensemble/top1``: of the mean of the student's and the proxies' probabilities.
    - ``gap/teacher``: :math:`\mathrm{KL}(\sigma(f_T) \| \sigma(f_S))`, and ``gap/proxy``:
      :math:`\mathrm{KL}(\sigma(f_{T'}) \| \sigma(f_S))`, both at :math:`\tau = 1`, mean over the set (Cho and
      Hariharan, 2019), in nats. With several of a kind, their mean, and each as ``gap/teacher0`` and so on.

    Of multi-label networks, each class of which has a sigmoid, the mean average precision takes the place of the
    accuracy (``teacher/mAP`` and so on, in percent, as mmpretrain's ``AveragePrecision`` computes it), and the gaps are
    those of the Bernoulli distributions, summed over the classes.

    Args:
        collect_device (str): See :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = 'member'

    def __init__(self, collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device)
        self.prefix = None  # the names above have prefixes of their own

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Reduce a batch to one row of numbers per sample; of multi-label networks also their probabilities."""
        if 'member_logits' not in data_samples[0]:
            raise UsageError(
                "MemberMetric finds no members' logits: add dict(type='shake_mm.MemberEvalHook') to `custom_hooks`."
            )
        names = list(data_samples[0]['member_logits'])
        logits = {n: torch.stack([s['member_logits'][n] for s in data_samples]).cpu().float() for n in names}
        several = data_samples[0].get('member_activation') == 'sigmoid'
        scores = {name: values.sigmoid() if several else values.softmax(dim=1) for name, values in logits.items()}
        proxies = [name for name in names if name.startswith('proxy')]
        if proxies:
            scores['ensemble'] = torch.stack([scores[name] for name in ('student', *proxies)]).mean(0)
        rows = {f'gap/{n}': gap(logits['student'], logits[n], several) for n in names if n != 'student'}
        if several:
            truth = _onehot(data_samples, logits['student'].shape[1])
            self.results.extend(_rows(rows, _unstacked({**scores, 'truth': truth})))
            return
        labels = torch.stack([s['gt_label'].reshape(-1)[0] for s in data_samples]).cpu()
        rows = {f'{name}/top1': _hits(values, labels) for name, values in scores.items()} | rows
        self.results.extend(_rows(rows))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Average over the set, and over the members of a kind."""
        numbers = [row for row, _ in results]
        mean = {key: sum(row[key] for row in numbers) / len(numbers) for key in numbers[0]}
        tables = [table for _, table in results if table is not None]
        if tables:
            from mmpretrain.evaluation.metrics import AveragePrecision  # only its networks have several labels

            truth = torch.stack([table['truth'] for table in tables])
            for name in tables[0].keys() - {'truth'}:
                scores = torch.stack([table[name] for table in tables])
                mean[f'{name}/mAP'] = AveragePrecision.calculate(scores, truth).item()
        return by_kind(mean)


def by_kind(mean: dict[str, float]) -> dict[str, float]:
    """Drop the number of a single member of its kind, and add the mean gap of several."""
    metrics: dict[str, float] = {}
    for kind in ('teacher', 'proxy'):
        of_kind = [key for key in mean if key.startswith(f'gap/{kind}')]
        if of_kind:
            metrics[f'gap/{kind}'] = sum(mean[key] for key in of_kind) / len(of_kind)
        for key in list(mean):
            if len(of_kind) == 1 and f'{kind}0' in key:
                value = mean.pop(key)
                metrics[key.replace(f'{kind}0', kind)] = value
    return {**mean, **metrics}


def gap(student: Tensor, other: Tensor, several: bool = False) -> Tensor:
    r"""The gap :math:`\mathrm{KL}(\sigma(other) \| \sigma(student))` of every sample.

    Args:
        student (Tensor): Logits, shape (N, K).
        other (Tensor): Logits of the teacher or proxy, shape (N, K).
        several (bool): Whether each class has a sigmoid, instead of a softmax over them. Defaults to False.

    Returns:
        Tensor: Shape (N,), in nats.
    """
    if several:  # each class is a softmax over its yes and no
        student, other = (torch.stack([x, torch.zeros_like(x)], dim=1) for x in (student, other))
    log_q, log_p = F.log_softmax(student, dim=1), F.log_softmax(other, dim=1)
    return (log_p.exp() * (log_p - log_q)).flatten(1).sum(dim=1)


def _rows(rows: dict[str, Tensor], tables: Sequence[Any] | None = None) -> list[tuple[dict, Any]]:
    """For every sample its numbers by name, and its scores by name with the truth, or None."""
    numbers = [dict(zip(rows, row)) for row in zip(*(values.tolist() for values in rows.values()))]
    count = len(numbers) if tables is None else len(tables)
    return list(zip(numbers or [{}] * count, [None] * count if tables is None else tables))


def _unstacked(columns: dict[str, Any]) -> list[Any]:
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def _onehot(samples: Sequence[dict], classes: int) -> Tensor:
    """Which classes are right, shape (N, K)."""
    from mmpretrain.structures import label_to_onehot

    rows = [s['gt_score'] if 'gt_score' in s else label_to_onehot(s['gt_label'].long(), classes) for s in samples]
    return torch.stack(rows).cpu()


def _hits(scores: Tensor, labels: Tensor) -> Tensor:
    return (scores.argmax(dim=1) == labels).float() * 100
