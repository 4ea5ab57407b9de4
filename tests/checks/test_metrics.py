"""Names of metrics that a run looks up, compared before it begins with those that its evaluator gives."""

import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmdet.evaluation import CocoMetric, MultiDatasetsEvaluator
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook
from mmpretrain.evaluation import Accuracy
from torch import nn

from shake_mm.checks.metrics import check_metrics
from shake_mm.errors import UsageError
from shake_mm.hooks import MemberEvalHook


class _Any(BaseMetric):
    """Of no prefix, so that its names may be any."""

    process = compute_metrics = None


def check(key: str | list, *metrics: BaseMetric, hooks: tuple = (), kind: Callable = Evaluator) -> None:
    val_loop = SimpleNamespace(evaluator=kind(metrics))
    hook = CheckpointHook(save_best=key, rule='greater')
    check_metrics(SimpleNamespace(val_loop=val_loop, hooks=[hook, *hooks]), nn.Identity())


def names_of(metric: BaseMetric) -> list[str]:
    """What a metric gives of one sample, by itself."""
    if not isinstance(metric, CocoMetric):
        metric.process(None, [dict(pred_score=torch.rand(5), gt_label=torch.tensor([1]))])
        return list(metric.evaluate(1))
    metric.dataset_meta = dict(classes=['cat', 'dog'])
    truth = [dict(bbox=[8, 6, 26, 30], bbox_label=0)]
    found = dict(bboxes=torch.tensor([[8.0, 6, 26, 30]]), scores=torch.ones(1), labels=torch.zeros(1).long())
    metric.process({}, [dict(img_id=0, ori_shape=(64, 64), instances=truth, pred_instances=found)])
    return list(metric.evaluate(1))


@pytest.mark.parametrize(
    ('key', 'metrics'),
    [
        ('auto', [Accuracy()]),
        ('accuracy/top1', [Accuracy()]),
        (['accuracy/top5', 'accuracy/top1'], [Accuracy(topk=(1, 5))]),
        ('accuracy/top1_thr-0.50', [Accuracy(thrs=(0.0, 0.5))]),
        ('coco/bbox_mAP_50', [CocoMetric(metric='bbox')]),
        ('mine/top1', [Accuracy(prefix='mine'), CocoMetric()]),
        ('coco/cat_precision', [CocoMetric(classwise=True)]),
        ('coco/AR@100', [CocoMetric(metric='proposal')]),
    ],
)
def test_names_that_are_given_pass(key, metrics):
    """All that the metrics give when they are evaluated; without its prefix none of them does."""
    check(key, *metrics)
    names = [name for metric in metrics for name in names_of(metric)]
    assert set([key] if isinstance(key, str) else key) <= {*names, 'auto'}
    check(names, *metrics)
    for name in names:
        with pytest.raises(UsageError, match=f"save_best is '{re.escape(name.partition('/')[2])}', but val_evaluator"):
            check(name.partition('/')[2], *metrics)


def test_what_members_give_needs_their_hook():
    with pytest.raises(UsageError, match="save_best is 'proxy/top1'"):
        check('proxy/top1', Accuracy())
    check('proxy/top1', Accuracy(), hooks=(MemberEvalHook(),))


@pytest.mark.parametrize(
    ('key', 'metrics', 'nearest'),
    [
        ('accuracy/top5', [Accuracy()], 'accuracy/top1'),
        ('coco/bbox_map', [CocoMetric()], 'coco/bbox_mAP'),
        ('coco/segm_mAP', [CocoMetric(metric='bbox')], 'coco/bbox_mAP'),
        (['accuracy/top1', 'acc'], [Accuracy()], 'accuracy/top1'),
    ],
)
def test_others_are_refused_with_the_nearest(key, metrics, nearest):
    with pytest.raises(UsageError, match=f"set it to '{nearest}'"):
        check(key, *metrics)


def test_a_metric_of_any_name_and_no_validation_pass():
    with pytest.raises(UsageError, match="save_best is 'whatever', but val_evaluator gives accuracy/top1"):
        check('whatever', Accuracy())
    check('whatever', Accuracy(), _Any.__new__(_Any))
    without = SimpleNamespace(val_loop=None, hooks=[CheckpointHook(save_best='whatever', rule='greater')])
    check_metrics(without, nn.Identity())


def test_an_evaluator_that_gives_names_of_its_own_is_let_be():
    """mmdet's of several data sets says ``one/coco/bbox_mAP``."""
    kind = partial(MultiDatasetsEvaluator, dataset_prefixes=['one'])
    with pytest.raises(UsageError, match='val_evaluator gives accuracy/top1'):
        check('one/accuracy/top1', Accuracy())
    check('one/accuracy/top1', Accuracy(), kind=kind)
