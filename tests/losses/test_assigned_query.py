"""Detection by a teacher's assignment: mmdet's own loss for that assignment, in float64, value and slopes."""

import pytest
import torch
from mmdet.models.losses import CrossEntropyLoss, FocalLoss, GIoULoss, L1Loss
from torchvision.ops import box_convert

from shake_mm.losses import AssignedQueryLoss, assigned_query
from shake_mm.losses.queries import Layer, Objects

from .test_matched_query import BOXES, CLASSES, LABELS, SHAPES, layers, objects, positives

QUERIES = 5


def of_mmdet(logits, boxes, assignment, activation):
    """What DETRHead and DeformableDETRHead compute of a layer, whose targets come from an assignment."""
    background = logits.shape[2] - (activation == 'softmax')
    labels = torch.full((2, QUERIES), background)
    near = []
    for n, (label, own) in enumerate(objects()):
        labels[n, assignment[n]] = label
        near.append((boxes[n, assignment[n]], own))
    number = sum(len(queries) for queries in assignment)
    if activation == 'softmax':
        weight = [1.0] * background + [0.1]
        loss = CrossEntropyLoss(class_weight=weight, loss_weight=1.0)
        classes = loss(logits.flatten(0, 1), labels.flatten(), avg_factor=number + 0.1 * (2 * QUERIES - number))
    else:
        loss = FocalLoss(use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0)
        classes = loss(logits.flatten(0, 1), labels.flatten(), avg_factor=number)
    mine, own = (torch.cat(side) for side in zip(*near))
    distances = [L1Loss(loss_weight=5.0)(mine, own, avg_factor=number)]
    sides = (box_convert(x, 'cxcywh', 'xyxy') for x in (mine, own))
    return classes + sum(distances) + GIoULoss(loss_weight=2.0)(*sides, avg_factor=number)


@pytest.mark.parametrize('how', ['same', 'last'])
@pytest.mark.parametrize('activation', ['sigmoid', 'softmax'])
def test_formula(activation, how):
    mine, its = layers(2, QUERIES, 0), layers(2, QUERIES, 1)
    leaves = [x.clone().requires_grad_() for side in mine for x in side]
    value = AssignedQueryLoss(activation, how, 0.7)(leaves, its, BOXES, LABELS, SHAPES)
    wanted = 0.0
    for i, k in [(i, i if how == 'same' else 1) for i in range(2)]:
        assignment = [positives(its[0][k][n], its[1][k][n], n, activation) for n in range(2)]
        wanted = wanted + 0.7 * of_mmdet(leaves[i], leaves[2 + i], assignment, activation)
    torch.testing.assert_close(value, wanted, rtol=1e-6, atol=0)
    for found, expected in zip(*(torch.autograd.grad(x, leaves, retain_graph=True) for x in (value, wanted))):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize('activation', ['sigmoid', 'softmax'])
def test_without_objects_all_queries_are_background(activation):
    (logits,), (boxes,) = layers(1, QUERIES, 0)
    layer = Layer(logits.requires_grad_(), boxes.requires_grad_())
    nothing = [Objects(torch.zeros(0, dtype=torch.long), torch.zeros(0, 4))] * 2
    none = [(torch.zeros(0, dtype=torch.long),) * 2] * 2
    value = assigned_query(layer, none, nothing, activation)
    value.backward()
    assert value.isfinite() and logits.grad.any() and not boxes.grad.any()
    if activation == 'softmax':  # 0.1 of the cross-entropies over 1 + 0.1 times nine
        wanted = -0.1 * logits.detach().log_softmax(-1)[..., CLASSES - 1].sum() / (1 + 0.1 * (2 * QUERIES - 1))
        torch.testing.assert_close(value.detach(), wanted)


def test_the_teacher_s_assignment_gets_no_gradient():
    mine, its = ([[x.requires_grad_() for x in side] for side in layers(1, QUERIES, seed)] for seed in (0, 1))
    AssignedQueryLoss()(mine, its, BOXES, LABELS, SHAPES).backward()
    assert mine[0][0].grad.any() and mine[1][0].grad.any() and its[0][0].grad is None
