"""CenterNet: logits of the heatmap before its sigmoid, the shadow's layers, and what a teacher leaves out."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict

from shake_mm.engine import MemberPredictor
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks import task_of
from tests.support.detectors import CLASSES, detector, lively, scenes


def centernet(width=4):
    """A CenterNet of stride 8."""
    trunk = detector('retinanet', width)
    neck = dict(
        type='CTResNetNeck', in_channels=4 * width, num_deconv_filters=(8,), num_deconv_kernels=(4,), use_dcn=False
    )
    head = dict(type='CenterNetHead', num_classes=CLASSES, in_channels=8, feat_channels=6)
    backbone = {**trunk.backbone, 'out_indices': (2,)}
    test_cfg = dict(topk=10, local_maximum_kernel=3, max_per_img=10)
    own = dict(type='CenterNet', backbone=backbone, neck=neck, bbox_head=head, train_cfg=None, test_cfg=test_cfg)
    return ConfigDict(_scope_='mmdet', data_preprocessor=trunk.data_preprocessor, **own)


def scene_batch():
    data = scenes()
    for sample in data['data_samples']:
        sample.set_metainfo(dict(border=[0, 0, 0, 0]))
    return data


def distiller(method, teacher):
    torch.manual_seed(0)
    model = MODELS.build(dict(type=f'shake_mm.{method}', student=lively(centernet()), teachers=[teacher], tau=2.0))
    for layer in model.train().student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()  # a teacher's statistics are its running ones
    for proxy in model.proxies.values():
        for parameter in proxy.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def test_kd_of_equal_networks_is_nothing_and_has_no_gradient():
    model = distiller('KD', lively(centernet()))
    loss = model(**model.data_preprocessor(scene_batch(), True), mode='loss')['loss_student_from_teacher']
    weight = model.student.bbox_head.heatmap_head[0].weight
    assert abs(loss) < 1e-7 and torch.autograd.grad(loss, weight)[0].abs().max() < 1e-6


def test_kd_is_the_bernoulli_divergence_of_the_heatmaps():
    """Of the probabilities that the heads return, weighed by the teacher's confidence."""
    model = distiller('KD', lively(centernet(6), 2))
    data = model.data_preprocessor(scene_batch(), True)
    model.terms['student_from_teacher'].loss.options['tau'] = 1.0
    maps, calls = [], []
    network = model.members.frozen['teacher0'].network
    for head in (model.student.bbox_head, network.bbox_head):
        head.register_forward_hook(lambda module, args, output: maps.append(output[0][0].double()))
    network.bbox_head.wh_head.register_forward_hook(lambda *args: calls.append(1))
    found = model(**data, mode='loss')['loss_student_from_teacher']
    p, q = maps
    divergence = (q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()).sum(1)
    weight = q.amax(1) ** 2
    torch.testing.assert_close(found.double(), (weight * divergence).sum() / weight.sum(), rtol=1e-4, atol=1e-6)
    assert not calls


def test_shake_teaches_the_heatmap_and_the_shadow():
    model = distiller('SHAKE', lively(centernet(6), 2))
    losses = model(**model.data_preprocessor(scene_batch(), True), mode='loss')
    reached = {}
    for term in ('student_from_proxy', 'proxy_from_teacher'):
        named = dict(model.named_parameters())
        found = torch.autograd.grad(losses[f'loss_{term}'], list(named.values()), retain_graph=True, allow_unused=True)
        reached[term] = {name for name, g in zip(named, found) if g is not None and g.abs().sum() > 0}
    heads = {name.rpartition('.')[0] for name in reached['student_from_proxy'] if 'bbox_head' in name}
    assert heads == {'student.bbox_head.heatmap_head.0', 'student.bbox_head.heatmap_head.2'}
    own = {name for name in reached['proxy_from_teacher'] if name.startswith('proxies')}
    assert len(own) == 4 and not any('bbox_head' in name for name in reached['proxy_from_teacher'])
    assert all(any('backbone' in name for name in names) for names in reached.values())


def test_a_proxy_with_the_student_s_weights_predicts_as_the_student():
    model = distiller('SHAKE', lively(centernet(6), 2)).eval()
    model.proxies['proxy0'].head.layers.load_state_dict(model.student.bbox_head.heatmap_head.state_dict())
    student, proxy = (
        [sample.pred_instances for sample in MemberPredictor(model, name).test_step(scene_batch())]
        for name in ('student', 'proxy0')
    )
    for mine, its in zip(student, proxy):
        torch.testing.assert_close(mine.scores, its.scores)
        torch.testing.assert_close(mine.bboxes, its.bboxes)


def test_the_shadow_begins_with_the_prior_of_mmdet():
    network = lively(centernet())
    branch = task_of(network).build_branch(network, None)
    plain = MODELS.build(centernet())
    plain.init_weights()
    assert torch.equal(branch.layers[-1].bias, plain.bbox_head.heatmap_head[-1].bias)
    assert not torch.equal(branch.layers[0].weight, network.bbox_head.heatmap_head[0].weight)


def test_a_teacher_without_a_heatmap_is_refused():
    for stranger in (lively(detector('retinanet')),):
        with pytest.raises(UsageError, match='teacher0: a RetinaNet has no heatmap of centers as the student has'):
            distiller('KD', stranger)


def test_an_updated_centernet_is_a_dense_detector():
    config = detector('fcos')
    config.type = 'CenterNet'
    network = lively(config)
    model = MODELS.build(dict(type='shake_mm.KD', student=network, teachers=[copy.deepcopy(network)])).train()
    assert type(model.task).__name__ == 'HeatmapDetectionTask'
    losses = model(**model.data_preprocessor(scenes(), True), mode='loss')
    assert losses['loss_student_from_teacher'].isfinite()
