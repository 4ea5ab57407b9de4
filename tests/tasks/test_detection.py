"""Distillation of detectors: which logits meet which, who gets which gradient, and what a teacher does not run."""

import copy
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from mmdet.models.dense_heads import ATSSHead, CondInstBboxHead, FCOSHead, NASFCOSHead, RTMDetHead, VFNetHead

from shake_mm.engine import MemberPredictor
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS, TASKS
from tests.support.detectors import CLASSES, HEADS, LEVELS, detector, lively, scenes

TWO_STAGE = ('faster_rcnn', 'cascade_rcnn')
TAU, LAM = 2.0, 0.3


def distiller(method, kind, seeds=(2,), student=None, width=6, channels=12, **kwargs):
    teachers = [lively(detector(kind, width, channels), seed) for seed in seeds]
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type=f'shake_mm.{method}', student=student or lively(detector(kind), 1), teachers=teachers, **kwargs)
    )
    return model.train()


def shake(kind, seeds=(2,), **kwargs):
    model = distiller('SHAKE', kind, seeds, tau=TAU, lam=LAM, **kwargs)
    for proxy in model.proxies.values():
        for parameter in proxy.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def step(model, data=None):
    """One training step; the losses, and what the taps named held."""
    data = model.data_preprocessor(copy.deepcopy(data or scenes()), True)
    seen = {}

    def watching(losses, groups, taps):
        members = ('student', *model.proxies, *(name for name in model.members.frozen if name in model.plan.headed))
        seen.update({name: taps.value(f'{name}.logits') for name in members})

    with mock.patch('shake_mm.engine.distiller.weigh', watching):
        losses = model(**data, mode='loss')
    return losses, seen


def numbers(level, channels):
    """Maps (N, A * C, H, W), or rows, as float64 rows of C."""
    array = level.detach().double().numpy()
    if array.ndim == 2:
        return array
    n, _, height, width = array.shape
    return array.reshape(n, -1, channels, height, width).transpose(0, 1, 3, 4, 2).reshape(-1, channels)


def bernoulli_term(of, to, reference, tau):
    """The dense divergence by its formula, place by place."""
    total = weights = 0.0
    for a, b, r in zip(of, to, reference):
        a, b, r = (numbers(level, CLASSES) for level in (a, b, r))
        log_p, log_q = ((-np.logaddexp(0, -x / tau), -np.logaddexp(0, x / tau)) for x in (a, b))  # of yes and of no
        divergence = sum(np.exp(q) * (q - p) for p, q in zip(log_p, log_q)).sum(1) * tau**2
        weight = np.exp(-2 * np.logaddexp(0, -r.max(1)))
        total, weights = total + (weight * divergence).sum(), weights + weight.sum()
    return total / max(weights, 1)


def softmax_term(of, to, reference, tau):
    """Box by box; with a reference, by its confidence that the box is not background, squared."""
    a, b = (np.exp(x.detach().double().numpy() / tau) for x in (of, to))
    p, q = a / a.sum(1, keepdims=True), b / b.sum(1, keepdims=True)
    divergence = tau**2 * (q * np.log(q / p)).sum(1)
    if reference is None:
        return divergence.mean()
    r = np.exp(reference.detach().double().numpy())
    weight = (1 - r[:, -1] / r.sum(1)) ** 2
    return (weight * divergence).sum() / max(weight.sum(), 1)


def expected_terms(kind, seen, teacher='teacher0', proxy='proxy0', number=1, setting=None):
    s, t, p = seen['student'], seen[teacher], seen[proxy]
    none = (None, None) if kind == 'cascade_rcnn' else None
    of_boxes = none if setting == 'paper' else t

    def term(of, to):
        if kind in HEADS:
            return (0.25 if kind == 'fcos' and setting is None else 1) * bernoulli_term(of, to, t, TAU)
        if kind == 'cascade_rcnn':
            return sum(w * softmax_term(a, b, r, TAU) for w, a, b, r in zip((1, 0.5), of, to, of_boxes))
        return softmax_term(of, to, of_boxes, TAU)

    return {
        'loss_student_from_proxy': LAM / number * term(s, p),
        'loss_proxy_from_teacher': term(p, t),
        'loss_proxy_from_student': LAM * term(p, s),
    }


@pytest.mark.parametrize(
    ('kind', 'setting'),
    [*((kind, None) for kind in (*HEADS, *TWO_STAGE)), *((kind, 'paper') for kind in ('fcos', *TWO_STAGE))],
)
def test_every_term_is_its_formula_on_the_captured_logits(kind, setting):
    losses, seen = step(shake(kind, setting=setting))
    for name, value in expected_terms(kind, seen, setting=setting).items():
        assert value > 1e-4
        np.testing.assert_allclose(losses[name].item(), value, rtol=2e-5, err_msg=name)


def test_fcos_and_its_kind_alone_learn_by_a_quarter():
    weights = {}
    for kind in (FCOSHead, NASFCOSHead, CondInstBboxHead, VFNetHead, ATSSHead, RTMDetHead):
        network = SimpleNamespace(bbox_head=kind.__new__(kind))
        weights[kind.__name__] = TASKS.build(dict(type='DenseDetectionTask')).defaults_of(network).get('loss_weight', 1)
    assert list(weights.values()) == [0.25] * 3 + [1] * 3


@pytest.mark.parametrize('kind', ['retinanet', 'faster_rcnn'])
def test_each_of_several_teachers_has_a_shadow_of_its_own(kind):
    losses, seen = step(shake(kind, seeds=(2, 3)))
    for i in range(2):
        for name, value in expected_terms(kind, seen, f'teacher{i}', f'proxy{i}', number=2).items():
            np.testing.assert_allclose(losses[f'{name}{i}'].item(), value, rtol=2e-5)


def gradients(model, names):
    losses, _ = step(model)
    model.zero_grad()
    sum(losses[name] for name in names).backward()
    return {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


@pytest.mark.parametrize('kind', ['retinanet', 'fcos', *TWO_STAGE])
def test_who_gets_a_gradient_from_which_term(kind):
    model = shake(kind)
    head = 'student.bbox_head' if kind in HEADS else 'student.roi_head'
    to_student = gradients(model, ['loss_student_from_proxy'])
    to_proxy = gradients(model, ['loss_proxy_from_teacher', 'loss_proxy_from_student'])
    assert any(name.startswith(head) for name in to_student) and not any('proxies' in name for name in to_student)
    assert any('proxies' in name for name in to_proxy) and not any(name.startswith(head) for name in to_proxy)
    for found in (to_student, to_proxy):  # both sums reach the shared features, none the boxes or the RPN
        assert any('backbone' in name for name in found) and any('neck' in name for name in found)
        assert not any('reg' in name or 'rpn' in name or 'centerness' in name for name in found)
    teacher = model.members.frozen['teacher0'].network
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())


@pytest.mark.parametrize('kind', ['retinanet', *TWO_STAGE])
def test_the_student_s_own_losses_are_those_of_the_plain_detector(kind):
    model = shake(kind)
    plain = copy.deepcopy(model.student)
    data = model.data_preprocessor(scenes(), True)
    torch.manual_seed(7)
    losses = model(**copy.deepcopy(data), mode='loss')
    torch.manual_seed(7)
    own = plain(**copy.deepcopy(data), mode='loss')
    for name, value in own.items():
        torch.testing.assert_close(losses[f'student.{name}'], value, rtol=0, atol=0)


@pytest.mark.parametrize('kind', [*HEADS, *TWO_STAGE])
def test_a_teacher_equal_to_the_student_teaches_nothing(kind):
    student = lively(detector(kind))
    teacher = copy.deepcopy(student)
    model = MODELS.build(dict(type='shake_mm.KD', student=student, teachers=teacher, tau=TAU)).train()
    for layer in model.student.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()  # a teacher's statistics are its running ones
    losses, seen = step(model)
    pairs = zip(*(v if isinstance(v, list) else [v] for v in (seen['student'], seen['teacher0'])))
    for mine, its in pairs:
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-5)
    assert 0 <= float(losses['loss_student_from_teacher']) < 1e-6


@pytest.mark.parametrize('kind', [*TWO_STAGE, 'retinanet'])
def test_a_teacher_runs_once_and_nothing_that_is_not_needed(kind):
    model = shake(kind)
    network = model.members.frozen['teacher0'].network
    calls = []
    for name in ('backbone', 'neck', 'rpn_head', 'bbox_head', 'roi_head.bbox_head', 'roi_head.bbox_head.1'):
        layer = dict(network.named_modules()).get(name)
        if layer is not None:
            layer.register_forward_hook(lambda *args, name=name: calls.append(name))
    step(model)
    head = {'retinanet': ['bbox_head'], 'faster_rcnn': ['roi_head.bbox_head'], 'cascade_rcnn': ['roi_head.bbox_head.1']}
    assert calls == ['backbone', 'neck', *head[kind]]


def test_a_teacher_of_features_alone_runs_no_head():
    terms = dict(hint=dict(of='student.f2', to='teacher0.f2', loss=dict(type='torch.nn.MSELoss')))
    model = distiller('Baseline', 'retinanet', channels=8, terms=terms)
    calls = []
    model.members.frozen['teacher0'].network.bbox_head.register_forward_hook(lambda *args: calls.append(1))
    data = model.data_preprocessor(scenes(), True)
    assert 'loss_hint' in model(**data, mode='loss') and not calls


def test_shake_beside_a_feature_distiller_on_all_levels():
    review = dict(of=['student.f*'], to=['teacher0.f*'], connector=dict(type='ReviewFusion'), loss=dict(type='HCLLoss'))
    model = shake('retinanet', terms=dict(review=review))
    losses, _ = step(model)
    assert losses['loss_review'] > 0 and 'loss_proxy_from_teacher' in losses
    assert [level.conv1.in_channels for level in model.terms['review'].connector.levels] == [8] * LEVELS


def test_a_teacher_that_normalizes_otherwise_sees_the_padding_as_its_own_preprocessor_would_make_it():
    teacher = lively(detector('retinanet', 6, 12), 2)
    teacher.data_preprocessor.mean.add_(11)
    teacher.data_preprocessor.std.mul_(1.5)
    model = MODELS.build(dict(type='shake_mm.KD', student=detector('retinanet'), teachers=teacher))
    ours, theirs = model.data_preprocessor(scenes(), True), teacher.data_preprocessor(scenes(), True)
    found = model.members.frozen['teacher0'].view(ours['inputs'], ours['data_samples'])
    torch.testing.assert_close(found, theirs['inputs'], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', ['retinanet', 'fcos', *TWO_STAGE])
def test_a_proxy_with_the_student_s_weights_predicts_as_the_student(kind):
    model = shake(kind).eval()
    branches = model.proxies['proxy0'].head
    branches = branches.branches if kind == 'cascade_rcnn' else [branches]
    for branch, head in zip(branches, model.task.heads(model.student)):
        branch.head.load_state_dict(head.state_dict(), strict=False)

    def predictions(member):
        return [sample.pred_instances for sample in MemberPredictor(model, member).test_step(scenes())]

    student, proxy, teacher = (predictions(name) for name in ('student', 'proxy0', 'teacher0'))
    assert all(len(s) and torch.equal(s.scores, p.scores) for s, p in zip(student, proxy))
    assert not all(len(s) == len(t) and torch.equal(s.bboxes, t.bboxes) for s, t in zip(student, teacher))
    branches[0].head.load_state_dict({k: 0 * v for k, v in branches[0].head.state_dict().items()})
    assert not all(torch.equal(s.scores, p.scores) for s, p in zip(student, predictions('proxy0')) if len(s) == len(p))
    with pytest.raises(UsageError, match="member 'proxy1' does not exist: the members are student, teacher0, proxy0"):
        MemberPredictor(model, 'proxy1')


def test_inference_touches_neither_teacher_nor_shadow():
    model = shake('retinanet').eval()
    with torch.no_grad():
        wanted = model.student.val_step(scenes())
        for module in (model.members.frozen['teacher0'], *model.proxies.values()):
            module.forward = None
        found = model.val_step(scenes())
    for mine, own in zip(found, wanted, strict=True):
        assert len(mine.pred_instances) and torch.equal(mine.pred_instances.scores, own.pred_instances.scores)


def test_dense_detectors_learn_mutually():
    model = distiller('DML', 'retinanet')
    losses, _ = step(model)
    assert {'teacher0.loss_cls', 'loss_teacher_from_student', 'loss_student_from_teacher'} <= set(losses)


@pytest.mark.parametrize('kind', HEADS)
def test_a_teacher_that_is_asked_for_classes_leaves_out_the_towers_of_the_boxes(kind):
    model = shake(kind)
    head = model.members.frozen['teacher0'].network.bbox_head
    calls = []
    for name, layer in head.named_modules():
        if name and list(layer.parameters(recurse=False)):
            layer.register_forward_hook(lambda *args, name=name: calls.append(name))
    step(model)
    assert any('cls' in name for name in calls)
    assert not any(word in name for name in calls for word in ('reg', 'scale', 'centerness'))
    calls.clear()
    boxes = dict(of='student.bbox_head[1][0]', to='teacher0.bbox_head[1][0]', loss=dict(type='torch.nn.L1Loss'))
    model = shake(kind, terms=dict(boxes=boxes))
    losses, _ = step(model)
    data = model.data_preprocessor(scenes(), True)
    teacher = model.members.frozen['teacher0']
    expected = teacher.network.bbox_head(teacher.network.extract_feat(teacher.view(data['inputs'])))[1][0]
    model.student.bbox_head.register_forward_hook(lambda module, args, output: calls.append(output[1][0]))
    losses = model(**data, mode='loss')
    torch.testing.assert_close(losses['loss_boxes'], (calls[0] - expected).abs().mean())


def test_places_and_temperature_are_configuration():
    change = dict(proxy_from_teacher=dict(loss=dict(tau=3.0, weighting='uniform', gamma=1.0)))
    model = shake('retinanet', terms=change)
    loss = model.terms['proxy_from_teacher'].loss
    assert loss.options['num_classes'] == CLASSES and loss.options['activation'] == 'sigmoid'
    assert model.terms['student_from_proxy'].loss.options['tau'] == TAU
    losses, seen = step(model)
    maps = [(numbers(a, CLASSES), numbers(b, CLASSES)) for a, b in zip(seen['proxy0'], seen['teacher0'])]
    a, b = (np.concatenate(rows) / 3.0 for rows in zip(*maps))
    q = 1 / (1 + np.exp(-b))
    expected = 9.0 * (np.logaddexp(0, a) - np.logaddexp(0, b) + q * (b - a)).sum(1).mean()
    np.testing.assert_allclose(losses['loss_proxy_from_teacher'].item(), expected, rtol=2e-5)
