"""Detectors that do not belong together: one clear error when the distiller is built."""

import copy

import pytest
from mmengine.config import ConfigDict

from shake_mm.errors import UsageError
from shake_mm.members import MemberSpec
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


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('detr/detr_r50_8xb2-150e_coco', r"the queries of a DETR are no places.*of='student.neck\[0\]'"),
        ('guided_anchoring/ga-retinanet_r50_fpn_1x_coco', 'a GARetinaHead guesses its anchors anew for every image'),
        ('crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman', 'a MultiInstanceRoIHead finds several objects in a box'),
    ],
    ids=lambda value: value.partition('/')[0] if '/' in value else '',
)
def test_detectors_whose_classes_cannot_be_compared_hear_why_and_what_to_distil(name, words):
    config = MemberSpec.parse('student', f'mmdet::{name}.py').model
    config['backbone'] = dict(type='ResNet', depth=18, base_channels=8)  # it does not come to run
    network = MODELS.build(ConfigDict(config))
    with pytest.raises(UsageError, match=words):
        MODELS.build(dict(type='shake_mm.KD', student=network, teachers=dict(config=network)))
