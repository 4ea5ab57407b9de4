"""What the members of a distilled segmentor achieve, and the gaps between them."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..errors import UsageError
from ..registry import METRICS
from .member_metric import by_kind, gap


@METRICS.register_module()
class MemberIoUMetric(BaseMetric):
    r"""Compares the members of a distilled segmentor on the evaluation set, as mmsegmentation's ``IoUMetric`` does.

    - ``teacher/mIoU``, ``teacher/aAcc``, ``teacher/mAcc``, and those of the proxies: in percent. (The student's are the
      run's own.) With several of a kind, ``proxy0/mIoU`` and so on.
    - ``gap/teacher``: :math:`\mathrm{KL}(\sigma(f_T) \| \sigma(f_S))` at :math:`\tau = 1` of the logits of the original
      pixels, mean over those that are not ignored, in nats; likewise ``gap/proxy``.

    Args:
        ignore_index (int): The label of pixels that do not count. Defaults to 255.
        collect_device (str): See :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = 'member'

    def __init__(self, ignore_index: int = 255, collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device)
        self.prefix = None  # the names above have prefixes of their own
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Reduce every image to its areas by class and member, and to sums of the gaps."""
        from mmseg.evaluation import IoUMetric

        if data_samples and 'member_samples' not in data_samples[0]:
            raise UsageError(
                "MemberIoUMetric finds no members' predictions: add dict(type='shake_mm.MemberEvalHook') to "
                '`custom_hooks`.'
            )
        classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            row: dict[str, Any] = {}
            label = sample['gt_sem_seg']['data'].squeeze()
            mine = sample['seg_logits']['data']
            for name, other in sample['member_samples'].items():
                predicted = other.pred_sem_seg.data.squeeze()
                areas = IoUMetric.intersect_and_union(predicted, label.to(predicted), classes, self.ignore_index)
                row[name] = (areas, *self._gap(mine, other.seg_logits.data, label))
            self.results.append(row)

    def _gap(self, student: Tensor, other: Tensor, label: Tensor) -> tuple[float, int]:
        """Sum of the gaps, and number of pixels, of an image; (K, H, W) logits, or (1, H, W) probabilities."""
        valid = (label != self.ignore_index).to(student.device)
        mine, its = (x.flatten(1).T[valid.flatten()].double() for x in (student, other.to(student.device)))
        if len(student) == 1:  # what mmsegmentation keeps of one sigmoid is its probability
            mine, its = (torch.logit(x, eps=1e-12) for x in (mine, its))
        return gap(mine, its, several=len(student) == 1).sum().item(), int(valid.sum())

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Add up the areas, and average over the pixels."""
        from mmseg.evaluation import IoUMetric

        metrics: dict[str, float] = {}
        for name in results[0] if results else ():
            areas, gaps, pixels = zip(*(row[name] for row in results))
            found = IoUMetric.total_area_to_metrics(*map(sum, zip(*areas)), ['mIoU'])
            for key, values in found.items():
                mean = torch.as_tensor(values).double().nanmean().item()
                metrics[f'{name}/{key if key == "aAcc" else f"m{key}"}'] = 100 * mean
            metrics[f'gap/{name}'] = sum(gaps) / max(sum(pixels), 1)
        return by_kind(metrics)
