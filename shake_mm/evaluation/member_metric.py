"""Accuracies of all members and their ensemble, and the gaps between them."""

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

    Args:
        collect_device (str): See :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = 'member'

    def __init__(self, collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device)
        self.prefix = None  # the names above have prefixes of their own

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Reduce a batch to one row of numbers per sample."""
        if 'member_logits' not in data_samples[0]:
            raise UsageError(
                "MemberMetric finds no members' logits: add dict(type='shake_mm.MemberEvalHook') to `custom_hooks`."
            )
        names = list(data_samples[0]['member_logits'])
        logits = {n: torch.stack([s['member_logits'][n] for s in data_samples]).cpu().float() for n in names}
        labels = torch.stack([s['gt_label'].reshape(-1)[0] for s in data_samples]).cpu()
        rows = {f'{name}/top1': _hits(values, labels) for name, values in logits.items()}
        proxies = [name for name in names if name.startswith('proxy')]
        if proxies:
            together = sum(logits[name].softmax(dim=1) for name in ('student', *proxies))
            rows['ensemble/top1'] = _hits(together, labels)
        for name in names:
            if name != 'student':
                rows[f'gap/{name}'] = gap(logits['student'], logits[name])
        keys = list(rows)
        self.results.extend(dict(zip(keys, row)) for row in torch.stack([rows[k] for k in keys], dim=1).tolist())

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Average over the set, and over the members of a kind."""
        mean = {key: sum(row[key] for row in results) / len(results) for key in results[0]}
        metrics: dict[str, float] = {}
        for kind in ('teacher', 'proxy'):
            of_kind = [key for key in mean if key.startswith(f'gap/{kind}')]
            if of_kind:
                metrics[f'gap/{kind}'] = sum(mean[key] for key in of_kind) / len(of_kind)
            for key in list(mean):
                # A single member of its kind needs no number.
                if len(of_kind) == 1 and f'{kind}0' in key:
                    value = mean.pop(key)
                    metrics[key.replace(f'{kind}0', kind)] = value
        return {**mean, **metrics}


def gap(student: Tensor, other: Tensor) -> Tensor:
    r"""The gap :math:`\mathrm{KL}(\sigma(other) \| \sigma(student))` of every sample.

    Args:
        student (Tensor): Logits, shape (N, K).
        other (Tensor): Logits of the teacher or proxy, shape (N, K).

    Returns:
        Tensor: Shape (N,), in nats.
    """
    log_q, log_p = F.log_softmax(student, dim=1), F.log_softmax(other, dim=1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def _hits(scores: Tensor, labels: Tensor) -> Tensor:
    return (scores.argmax(dim=1) == labels).float() * 100
