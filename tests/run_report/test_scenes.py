import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from shake_mm.run_report.scenes import Boxes, Scene, annotated, confident, draw_scenes, is_right

INFO = {'instances': [{'bbox': [0, 0, 10, 20], 'bbox_label': 3}, {'bbox': [30, 30, 40, 40], 'bbox_label': 1}]}


def test_annotated_objects():
    truth = annotated(INFO)
    assert truth.places.tolist() == [[0, 0, 10, 20], [30, 30, 40, 40]] and truth.labels.tolist() == [3, 1]
    assert annotated({'instances': []}).places.shape == (0, 4)


@pytest.mark.parametrize(
    ('place', 'label', 'right'),
    [
        ([0, 0, 10, 20], 3, True),
        ([0, 0, 10, 20], 1, False),
        ([0, 0, 10, 10], 3, True),  # exactly half
        ([0, 0, 10, 9.9], 3, False),
        ([15, 25, 25, 45], 3, False),  # negative overlap in both directions is none
        ([30, 30, 40, 40], 1, True),
    ],
)
def test_right_and_wrong_boxes(place, label, right):
    assert is_right(np.array(place, float), label, annotated(INFO)) is right


def test_the_surest_class_of_a_place():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [80, 80, 90, 90]])
    found = InstanceData(bboxes=boxes, labels=torch.tensor([1, 2, 3, 4]), scores=torch.tensor([0.5, 0.9, 0.3, 0.29]))
    kept = confident(found)
    assert kept.labels.tolist() == [2, 3] and kept.scores == pytest.approx([0.9, 0.3])
    assert kept.places.tolist() == boxes[[1, 2]].tolist()


def test_the_image(tmp_path):
    """Also where nothing was found."""
    truth, nothing = annotated(INFO), Boxes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    scene = Scene(np.zeros((48, 64, 3), np.uint8), truth, {'student': truth, 'proxy0': nothing})
    titles = {'student': 'student', 'proxy0': 'proxy'}
    drawing = draw_scenes([scene, scene], titles, list('0123'), 'title')
    assert [axes.get_title() for axes in drawing.axes] == ['truth', 'student', 'proxy', '', '', '']
    assert [len(axes.patches) for axes in drawing.axes] == [2, 2, 0] * 2
    assert [text.get_text() for text in drawing.axes[1].texts] == ['3 1.00', '1 1.00']
    drawing.savefig(tmp_path / 'a.png')
