"""Boxes that dense heads predict, decoded at one place by hand, and as a tap."""

import math

import pytest
import torch

from shake_mm.taps import Taps
from shake_mm.tasks import task_of
from shake_mm.tasks.detection_boxes import boxes_of
from tests.support.detectors import HEADS, scenes

from .test_detection_tower import network

SIZES, STRIDES = [(8, 8), (4, 4), (2, 2)], (4, 8, 16)


def by_hand(kind, head, level, channels, y, x):
    """The box of the last anchor at a place, of the numbers there."""
    stride = STRIDES[level]
    if kind in ('retinanet', 'atss'):
        scale, ratio = (2**0.5, 1.6) if kind == 'retinanet' else (1, 1.0)
        side = (3 if kind == 'retinanet' else 4) * stride * scale
        width, height = side / ratio**0.5, side * ratio**0.5
        dx, dy, dw, dh = channels[-4:]
        cx, cy = stride * x + 0.1 * dx * width, stride * y + 0.1 * dy * height
        width, height = width * math.exp(0.2 * dw), height * math.exp(0.2 * dh)
        return [cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2]
    if kind == 'gfl':
        exps = [[math.exp(v) for v in channels[5 * side : 5 * side + 5]] for side in range(4)]
        distances = [stride * sum(i * e for i, e in enumerate(es)) / sum(es) for es in exps]
    else:
        distances = channels
    offset = stride / 2 if kind == 'fcos' else 0
    cx, cy = stride * x + offset, stride * y + offset
    return [cx - distances[0], cy - distances[1], cx + distances[2], cy + distances[3]]


@pytest.mark.parametrize('kind', HEADS)
def test_a_box_at_a_place(kind):
    head = network(kind, depth=1).bbox_head
    anchors, numbers = {'retinanet': (4, 4), 'gfl': (1, 20)}.get(kind, (1, 4))
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(2, anchors * numbers, *size, generator=generator) for size in SIZES]
    found = boxes_of(head)(maps)
    for level, (height, width) in enumerate(SIZES):
        assert found[level].shape == (2, anchors * height * width, 4)
        for i, y, x in ((0, 1, 0), (1, height - 1, 1)):
            wanted = by_hand(kind, head, level, maps[level][i, :, y, x].tolist(), y, x)
            row = found[level][i, (y * width + x) * anchors + anchors - 1]
            torch.testing.assert_close(row, torch.tensor(wanted), rtol=1e-4, atol=1e-3)


def test_fcos_counts_in_strides_in_training():
    head = network('fcos', depth=1).bbox_head
    maps = [torch.rand(1, 4, *size) for size in SIZES]
    plain = boxes_of(head)(maps)
    head.norm_on_bbox, head.training = True, True
    found = boxes_of(head)(maps)
    for level, stride in enumerate(STRIDES):
        sides = (plain[level][..., 2:] - plain[level][..., :2]) * stride
        torch.testing.assert_close(found[level][..., 2:] - found[level][..., :2], sides)


@pytest.mark.parametrize('kind', HEADS)
def test_the_tap(kind):
    model = network(kind, depth=1)
    task = task_of(model)
    taps = Taps({'student': model}, {'student': task.aliases(model)})
    taps.request('student.boxes')
    taps.request('student.box_maps')
    with torch.no_grad(), taps.recording():
        task.forward(model, model.data_preprocessor(scenes())['inputs'], taps)
        boxes, maps = taps.value('student.boxes'), taps.value('student.box_maps')
        assert all(map(torch.equal, boxes, boxes_of(model.bbox_head)(maps)))


def test_heads_that_are_not_known_tell_no_boxes():
    assert boxes_of(None) is None and boxes_of(torch.nn.Linear(2, 2)) is None
