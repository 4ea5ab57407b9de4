"""Where a student's own loss sees objects, against assignments by hand; LD against mmdet's LDHead."""

import copy

import pytest
import torch
from mmengine.config import Config, ConfigDict

from shake_mm.compat import configs_dir
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks import task_of
from shake_mm.tasks.detection_targets import positive_threshold, valuable_region
from tests.support.detectors import CLASSES, HEADS, detector, lively, scenes

from .test_detection_tower import network


def distilled(kind, method, student=None):
    config = Config.fromfile(f'{configs_dir()}/_base_/methods/{method}.py').method
    student = student or network(kind, 1, depth=1)
    return MODELS.build(dict(student=student, teachers=[network(kind, 2, depth=1)], **config)).train()


def noted(model, data, names=('places', 'valuable_places')):
    with model.task.noting(model.student, names) as facts:
        model.task.loss(model.student, **data)
    assert 'get_targets' not in vars(model.student.bbox_head)
    return facts


@pytest.mark.parametrize('kind', HEADS)
def test_every_prior_of_every_level_is_told(kind):
    model = distilled(kind, 'crosskd')
    data = model.data_preprocessor(scenes(), True)
    places = noted(model, data, ['places'])['places']
    with torch.no_grad():
        logits = model.student.bbox_head(model.student.extract_feat(data['inputs']))[0]
    for level, positive, weight in zip(logits, places.positive, places.weight, strict=True):
        n, channels, height, width = level.shape
        assert positive.shape == weight.shape == (n, channels // CLASSES * height * width)
        assert positive.dtype == torch.bool and set(weight.unique().tolist()) <= {0.0, 1.0}
    assert places.number == torch.cat(places.positive, dim=1).sum(1).clamp(min=1).sum() > 2
    assert noted(model, data, []) == {}


def overlap(a, b):
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return shared / (sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)) - shared)


def test_positives_of_a_retinanet_counted_by_hand():
    """Overlap of 0.5 with an object, or the best one of an object."""
    model = distilled('retinanet', 'crosskd')
    data = model.data_preprocessor(scenes(), True)
    places = noted(model, data, ['places'])['places']
    head = model.student.bbox_head
    anchors = torch.cat(head.prior_generator.grid_priors([(16, 16), (8, 8), (4, 4)], device='cpu')).tolist()
    for i, sample in enumerate(data['data_samples']):
        table = [[overlap(a, b) for b in sample.gt_instances.bboxes.tolist()] for a in anchors]
        best = [max(column) for column in zip(*table)]
        wanted = [max(row) >= 0.5 or any(x >= most - 1e-6 for x, most in zip(row, best)) for row in table]
        assert torch.cat(places.positive, dim=1)[i].tolist() == wanted


def test_an_image_without_objects_counts_as_one():
    model = distilled('gfl', 'ld')
    data = model.data_preprocessor(scenes(), True)
    sample = data['data_samples'][1]
    sample.gt_instances = sample.gt_instances[:0]
    facts = noted(model, data)
    positive = torch.cat(facts['places'].positive, dim=1).sum(1)
    assert positive[1] == 0 and facts['places'].number == positive[0] + 1
    assert all(not level[1].any() for level in facts['valuable_places'])
    losses = model(**data, mode='loss')
    assert losses['loss_ld'].isfinite() and losses['loss_ld_valuable'].isfinite()


def diou(a, b):
    around = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    apart = sum(((a[i] + a[i + 2] - b[i] - b[i + 2]) / 2) ** 2 for i in (0, 1))
    return overlap(a, b) - apart / around


def test_the_valuable_region_prior_by_prior():
    model = distilled('gfl', 'ld')
    data = model.data_preprocessor(scenes(), True)
    found = torch.cat(noted(model, data)['valuable_places'], dim=1)
    head = model.student.bbox_head
    sizes = [(16, 16), (8, 8), (4, 4)]
    levels = [level.tolist() for level in head.prior_generator.grid_priors(sizes, device='cpu')]
    valid = [[place[0] for place in [(True,)] * len(level)] for level in levels]
    for i, sample in enumerate(data['data_samples']):
        rows = -(-sample.img_shape[0] // 4)
        valid = [
            [place // size[1] < -(-rows // (16 // size[0])) for place in range(len(level))]
            for level, size in zip(levels, sizes)
        ]
        thresholds = []
        for box in sample.gt_instances.bboxes.tolist():
            near = []
            for level, own in zip(levels, valid):
                middle = [((x[0] + x[2] - box[0] - box[2]) ** 2 + (x[1] + x[3] - box[1] - box[3]) ** 2) for x in level]
                order = sorted((k for k in range(len(level)) if own[k]), key=lambda k: middle[k])[:4]
                near += [overlap(level[k], box) for k in order]
            mean = sum(near) / len(near)
            thresholds.append(mean + (sum((x - mean) ** 2 for x in near) / (len(near) - 1)) ** 0.5)
        wanted = []
        for level, own in zip(levels, valid):
            for anchor, counts in zip(level, own):
                inside = [
                    overlap(anchor, box)
                    for box, threshold in zip(sample.gt_instances.bboxes.tolist(), thresholds)
                    if 0.25 * threshold <= diou(anchor, box) < threshold
                ]
                wanted.append(max(inside, default=0.0) if counts else 0.0)
        torch.testing.assert_close(found[i], torch.tensor(wanted), rtol=1e-4, atol=1e-5)
        assert 0 < (found[i] > 0).sum() < len(wanted)


def test_an_assigner_of_a_stated_threshold():
    head = network('retinanet', depth=1).bbox_head
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 30, 30]])
    priors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 14], [60, 60, 70, 70]])
    threshold = positive_threshold(head.assigner, priors, boxes, torch.ones(3).bool(), [3])
    assert threshold.tolist() == [0.5, 0.5]
    assert valuable_region(priors, boxes, threshold).tolist() == [0, 0, 0]
    found = valuable_region(priors, boxes[:1], torch.tensor([0.9]))
    torch.testing.assert_close(found, torch.tensor([0.0, 100 / 140, 0.0]))


def test_ld_is_the_loss_of_mmdet_s_ld_head():
    """The main region: on the same maps mmdet's own head computes the same, value and gradient."""
    model = distilled('gfl', 'ld')
    head = model.student.bbox_head
    config = ConfigDict(
        {**detector('gfl', stacked_convs=1).bbox_head, 'type': 'LDHead', '_scope_': 'mmdet'},
        train_cfg=detector('gfl').train_cfg,
        test_cfg=detector('gfl').test_cfg,
        loss_ld=dict(type='KnowledgeDistillationKLDivLoss', loss_weight=0.25, T=10),
    )
    theirs = MODELS.build(config)
    theirs.load_state_dict(head.state_dict())
    data = model.data_preprocessor(scenes(), True)
    x = [level.detach() for level in model.student.extract_feat(data['inputs'])]
    teacher = model.members.frozen['teacher0']
    with torch.no_grad():
        soft = teacher.network.bbox_head(teacher.network.extract_feat(teacher.view(data['inputs'])))
    wanted = sum(theirs.loss(x, soft, copy.deepcopy(data['data_samples']))['loss_ld'])
    model.student.extract_feat = lambda inputs: tuple(x)
    found = model(**data, mode='loss')['loss_ld']
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)
    parameters = [dict(h.named_parameters()) for h in (head, theirs)]
    gradients = [
        torch.autograd.grad(v, list(p.values()), allow_unused=True) for v, p in zip((found, wanted), parameters)
    ]
    for mine, its in zip(*gradients):
        assert (mine is None) == (its is None)
        if mine is not None:
            torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-7)


def test_the_valuable_region_is_refused_where_positives_have_no_threshold():
    config = Config.fromfile(f'{configs_dir()}/_base_/methods/ld.py').method
    student = lively(detector('gfl'))
    student.bbox_head.assigner = lively(detector('rtmdet')).bbox_head.assigner
    with pytest.raises(UsageError, match='a GFLHead assigns them otherwise: .* ATSSAssigner or a MaxIoUAssigner'):
        MODELS.build(dict(student=student, teachers=[lively(detector('gfl'))], **config))


@pytest.mark.parametrize(
    'change, reason',
    [
        (dict(type='FreeAnchorRetinaHead'), 'a FreeAnchorRetinaHead assigns no places of every level to objects'),
        (dict(type='FSAFHead', bbox_coder=dict(type='TBLRBBoxCoder', normalizer=4.0)), "'teacher0.boxes' is none of"),
    ],
    ids=['its own assignment', 'boxes coded otherwise'],
)
def test_heads_that_crosskd_does_not_know_are_refused(change, reason):
    method = Config.fromfile(f'{configs_dir()}/_base_/methods/crosskd.py').method
    config = detector('retinanet', **change)
    with pytest.raises(UsageError, match=reason):
        MODELS.build(dict(student=lively(config), teachers=[lively(config)], **method))


def test_a_loss_that_assigns_nothing_is_told():
    model = distilled('retinanet', 'crosskd')
    data = model.data_preprocessor(scenes(), True)
    model.student.bbox_head.loss = lambda *args: {}
    with pytest.raises(UsageError, match="a RetinaHead's own loss assigns no places"):
        model(**data, mode='loss')


def test_facts_that_the_samples_hold():
    samples = scenes()['data_samples']
    task = task_of(lively(detector('faster_rcnn')))
    boxes, labels = (task.batch_field(samples, name) for name in ('gt_bboxes', 'gt_labels'))
    assert torch.equal(boxes[1], samples[1].gt_instances.bboxes) and labels[1].tolist() == [1, 3]
    for name in ('contrast_idx', 'batch_input_shape'):  # the second is the preprocessor's
        with pytest.raises(UsageError, match=f"asks for '{name}', which the samples of a detector do not hold"):
            task.batch_field(samples, name)


def test_without_its_own_loss_a_student_has_no_places():
    config = Config.fromfile(f'{configs_dir()}/_base_/methods/crosskd.py').method
    config.terms.pop('task')
    student = network('retinanet', depth=1)
    model = MODELS.build(dict(student=student, teachers=[copy.deepcopy(student)], **config)).train()
    with pytest.raises(UsageError, match="'places', which the own loss of a dense student makes: keep the term"):
        model(**model.data_preprocessor(scenes(), True), mode='loss')
