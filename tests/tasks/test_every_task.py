"""What holds for every task: it knows its networks, trains the student alone, and says who cannot teach it."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from mmdet.models.detectors import SingleStageDetector
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks import task_of

from ..support.detectors import detector, lively, scenes
from ..support.own_model import TASK, own_model
from ..support.segmentors import pictures, segmentor
from .test_grid_detection import segmented, solo
from .test_heatmap_detection import centernet, scene_batch
from .test_query_detection import SPECIALIZED, detr


class Case(NamedTuple):
    """Networks of a task.

    Args:
        student: Makes the config of one, with so many channels.
        method: What distills such networks: SHAKE where logits can be compared, else a term of features.
        stranger: Makes the config of a network that cannot teach the student.
        words: The sentence that says so.
    """

    student: Callable[[int], dict]
    method: dict
    stranger: Callable[[], dict]
    words: str


def classifier(channels: int, classes: int = 5) -> dict:
    """An mmpretrain classifier for images of any size."""
    return dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='shake_mm.CRDResNet', depth=8, widths=(channels,) * 4),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=classes, in_channels=channels),
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', num_classes=classes),
    )


SHAKE = dict(type='shake_mm.SHAKE')


class OwnDetector(BaseDetector):
    """A detector of none of mmdet's kinds, whose parts are a GFL's."""

    loss, predict, _forward = SingleStageDetector.loss, SingleStageDetector.predict, SingleStageDetector._forward
    extract_feat = SingleStageDetector.extract_feat

    def __init__(self, backbone, neck, bbox_head, train_cfg, test_cfg, data_preprocessor):
        super().__init__(data_preprocessor)
        bbox_head.update(train_cfg=train_cfg, test_cfg=test_cfg)
        self.backbone, self.neck, self.bbox_head = (MODELS.build(part) for part in (backbone, neck, bbox_head))


def own_detector(width: int) -> ConfigDict:
    """One, with so many channels."""
    return ConfigDict({**detector('gfl', width), 'type': OwnDetector})


FEATURES = dict(
    type='shake_mm.Baseline',
    terms=dict(hint=dict(of='student.neck[0]', to='teacher0.neck[0]', loss=dict(type='torch.nn.MSELoss'))),
)
CASES = {
    'ClassificationTask': Case(classifier, SHAKE, lambda: classifier(4, classes=7), 'teacher0 has 7 classes'),
    'DenseDetectionTask': Case(
        lambda width: detector('retinanet', width), SHAKE, lambda: detector('faster_rcnn'), 'teacher0: a FasterRCNN'
    ),
    'DetectionTask': Case(
        own_detector, FEATURES, lambda: classifier(4), 'teacher0 is a ImageClassifier, but the student detects'
    ),
    'GenericTask': Case(
        own_model, dict(SHAKE, task=TASK), lambda: own_model(6, classes=7), 'need the same number of classes'
    ),
    'GridDetectionTask': Case(
        lambda width: solo('SOLOV2Head', width), SHAKE, lambda: detector('retinanet'), 'teacher0: a RetinaNet'
    ),
    'HeatmapDetectionTask': Case(
        centernet, SHAKE, lambda: detector('retinanet'), 'teacher0: a RetinaNet has no heatmap of centers'
    ),
    'QueryDetectionTask': Case(
        lambda width: detr('detr', width),
        dict(SPECIALIZED, type='shake_mm.Distiller'),
        lambda: classifier(4),
        'teacher0 is a ImageClassifier, but the student detects',
    ),
    'SegmentationTask': Case(
        segmentor, SHAKE, lambda: segmentor(classes=7), 'teacher0 has 7 classes and the student has 5'
    ),
    'RoIDetectionTask': Case(
        lambda width: detector('faster_rcnn', width), SHAKE, lambda: detector('retinanet'), 'teacher0: a RetinaNet'
    ),
}
every_task = pytest.mark.parametrize('name', CASES)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture
def data(batch):
    """A batch for the networks of a task."""

    def data(name):
        if name not in ('ClassificationTask', 'GenericTask'):
            made = {
                'GridDetectionTask': segmented,
                'HeatmapDetectionTask': scene_batch,
                'SegmentationTask': lambda: pictures(even=True),
            }
            return made.get(name, scenes)()
        inputs, samples = batch(size=16)
        return dict(inputs=inputs, data_samples=samples)

    return data


def build(name):
    """A distiller and its teacher's network."""
    case = CASES[name]
    teacher = lively(case.student(6), 2)
    torch.manual_seed(1)
    model = MODELS.build(dict(case.method, student=case.student(4), teachers=dict(config=teacher)))
    for key, parameter in model.named_parameters():
        if 'bn' not in key:
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model, teacher


@every_task
def test_it_knows_its_networks(name):
    assert type(task_of(MODELS.build(CASES[name].student(4)))).__name__ == name


@every_task
def test_a_step_trains_the_student_and_not_the_teacher(data, name):
    model, teacher = build(name)
    before = copy.deepcopy(teacher.state_dict())
    losses = model.train()(**model.data_preprocessor(data(name), True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite() and any(key.startswith('loss_') for key in losses)
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    reached = {
        key.split('.')[1] for key, p in model.named_parameters() if key.startswith('student') and p.grad is not None
    }
    assert 'backbone' in reached and len(reached) > 1
    assert not any('teacher' in key for key in model.state_dict())


@every_task
def test_inference_is_the_plain_student_s(data, name):
    model, _ = build(name)
    plain = copy.deepcopy(model.student).eval()
    with torch.no_grad():
        found, wanted = (network.eval().test_step(data(name)) for network in (model, plain))
    assert len(found) == len(wanted) > 0
    for a, b in zip(found, wanted):
        scores = [scores_of(sample) for sample in (a, b)]
        assert len(scores[0]) and torch.equal(*scores)


def scores_of(sample):
    """What a sample holds by which a network predicts."""
    if 'seg_logits' in sample:
        return sample.seg_logits.data
    return sample.pred_instances.scores if 'pred_instances' in sample else sample.pred_score


@every_task
def test_a_teacher_that_cannot_be_is_one_clear_error(name):
    case = CASES[name]
    teacher = lively(case.stranger())
    with pytest.raises(UsageError, match=case.words):
        MODELS.build(dict(case.method, student=case.student(4), teachers=dict(config=teacher)))
