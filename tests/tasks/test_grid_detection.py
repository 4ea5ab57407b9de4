"""SOLO and SOLOv2: which logits the cells of a grid have, training or not, and whose grids belong together."""

import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict

from shake_mm.engine.evaluation import MemberPredictor
from shake_mm.errors import UsageError
from shake_mm.members import MemberSpec
from shake_mm.registry import MODELS

from ..support.detectors import CLASSES, detector, lively, scenes

GRIDS = [6, 4, 3]
HEADS = {
    'SOLOHead': 'solo/solo_r50_fpn_1x_coco',
    'DecoupledSOLOHead': 'solo/decoupled-solo_r50_fpn_1x_coco',
    'SOLOV2Head': 'solov2/solov2_r50_fpn_1x_coco',
}


def solo(kind='SOLOHead', width=4, grids=GRIDS):
    """A SOLO of three levels."""
    config, plain = MemberSpec.parse('student', f'mmdet::{HEADS[kind]}.py').model, detector('retinanet', width)
    own = {key: plain[key] for key in ('backbone', 'neck', 'data_preprocessor')}
    model = ConfigDict({**config, **own, '_scope_': 'mmdet'})
    norm = dict(type='GN', num_groups=2)
    model.mask_head.update(num_classes=CLASSES, in_channels=8, feat_channels=8, stacked_convs=1)
    model.mask_head.update(num_grids=grids, strides=[8, 8, 8], scale_ranges=((1, 32), (16, 64), (32, 128)))
    model.mask_head.update(norm_cfg=norm, cls_down_index=0)
    if kind == 'SOLOV2Head':
        model.mask_head.mask_feature_head.update(feat_channels=8, out_channels=4, end_level=2, norm_cfg=norm)
    model.test_cfg.update(score_thr=0.0, mask_thr=0.0)
    return model


def segmented(n=2):
    """Scenes with masks of their boxes."""
    data = scenes(n)
    for sample in data['data_samples']:
        shape = sample.img_shape
        masks = torch.zeros(2, *shape, dtype=torch.uint8)
        for mask, (left, top, right, bottom) in zip(masks, sample.gt_instances.bboxes.int().tolist()):
            mask[top:bottom, left:right] = 1
        sample.gt_instances.masks = BitmapMasks(masks.numpy(), *shape)
    return data


def distiller(method, kind, **kwargs):
    teacher = lively(solo(kind, 6), 2)
    torch.manual_seed(1)
    model = MODELS.build(dict(type=f'shake_mm.{method}', student=solo(kind), teachers=dict(config=teacher), **kwargs))
    for name, parameter in model.named_parameters():
        if 'bn' not in name:
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize('kind', HEADS)
def test_the_term_is_of_what_the_classifiers_make_before_any_suppression(kind):
    """Bernoulli divergences at every cell, weighed by the teacher's confidence; also of a teacher in evaluation."""
    model = distiller('KD', kind, terms=dict(student_from_teacher=dict(loss=dict(tau=2.0)))).train()
    seen = {'student': [], 'teacher0': []}
    for member, network in model.members.networks.items():
        network.mask_head.conv_cls.register_forward_hook(lambda *call, member=member: seen[member].append(call[-1]))
    losses = model(**model.data_preprocessor(segmented(), True), mode='loss')
    assert [tuple(level.shape) for level in seen['teacher0']] == [(2, CLASSES, side, side) for side in GRIDS]
    term = next(iter(model.terms[name] for name in model.terms if name == 'student_from_teacher'))
    found = losses['loss_student_from_teacher']
    torch.testing.assert_close(found, term.weight * term.loss(seen['student'], seen['teacher0']))
    assert found > 0 and not model.members.frozen['teacher0'].network.training


@pytest.mark.parametrize('kind', HEADS)
def test_a_shadow_with_the_student_s_weights_predicts_as_the_student(kind):
    model = distiller('SHAKE', kind).eval()
    model.proxies['proxy0'].head.head.load_state_dict(model.student.mask_head.state_dict(), strict=False)

    def predictions(member):
        return [sample.pred_instances for sample in MemberPredictor(model, member).test_step(segmented())]

    student, proxy, teacher = (predictions(name) for name in ('student', 'proxy0', 'teacher0'))
    assert all(len(s) and torch.equal(s.scores, p.scores) for s, p in zip(student, proxy))
    assert not all(len(s) == len(t) and torch.equal(s.scores, t.scores) for s, t in zip(student, teacher))


def test_grids_of_other_cells_or_none_are_refused():
    student = solo()
    with pytest.raises(UsageError, match=r'teacher0 has grids of \[5, 4, 3\] cells .* student of \[6, 4, 3\]'):
        MODELS.build(dict(type='shake_mm.KD', student=student, teachers=dict(config=lively(solo(grids=[5, 4, 3])))))
    with pytest.raises(UsageError, match='teacher0: a RetinaNet does not classify the cells of grids'):
        MODELS.build(dict(type='shake_mm.KD', student=student, teachers=dict(config=lively(detector('retinanet')))))
