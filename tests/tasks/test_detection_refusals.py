"""Detectors that do not belong together: one clear error when the distiller is built."""

import copy

import pytest

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tests.support.detectors import HEADS, detector, lively


@pytest.mark.parametrize(
    ('kind', 'teacher', 'words'),
    [
        ('retinanet', detector('retinanet', classes=7), 'teacher0 has 7 classes and the student has 5'),
        (
            'retinanet',
            detector('retinanet', anchor_generator=HEADS['atss'][1]['anchor_generator']),
            r'teacher0 has priors per place \[1, 1, 1\] and the student \[4, 4, 4\]',
        ),
        (
            'retinanet',
            detector(
                'retinanet', anchor_generator={**HEADS['retinanet'][1]['anchor_generator'], 'octave_base_scale': 4}
            ),
            'teacher0 has anchors',
        ),
        (
            'fcos',
            detector('fcos', strides=[8, 16, 32]),
            r'teacher0 has strides \[\(8, 8\), \(16, 16\), \(32, 32\)\] and the student \[\(4, 4\)',
        ),
        ('retinanet', detector('faster_rcnn'), 'teacher0: a FasterRCNN does not classify the places of a pyramid'),
        ('faster_rcnn', detector('retinanet'), 'teacher0: a RetinaNet does not classify given boxes'),
        ('faster_rcnn', detector('cascade_rcnn'), 'teacher0 has 2 stages and the student 1'),
    ],
)
def test_detectors_that_do_not_belong_together_are_one_clear_error(kind, teacher, words):
    with pytest.raises(UsageError, match=words):
        MODELS.build(dict(type='shake_mm.KD', student=detector(kind), teachers=lively(teacher)))


def test_what_cannot_be_a_detector_s_teacher():
    config = detector('faster_rcnn')
    with pytest.raises(UsageError, match='teacher0: a trained two-stage detector samples boxes of its own'):
        MODELS.build(dict(type='shake_mm.DML', student=config, teachers=copy.deepcopy(config)))
    resized = dict(config=lively(detector('retinanet')), resize=32)
    with pytest.raises(UsageError, match='teacher0: a detector sees the image as the student does: remove `resize`'):
        MODELS.build(dict(type='shake_mm.KD', student=detector('retinanet'), teachers=resized))
