"""Shares of terms in the gradient, against gradients by hand and by separate passes in float64."""

import copy
from unittest import mock

import numpy as np
import pytest
import torch

from shake_mm.engine.gradient_shares import ShareMeter
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from ..support.detectors import scenes
from ..tasks.test_detection import distiller


def classifier_distiller(make_classifier, trained, method='KD', **kwargs):
    teacher = make_classifier(8)
    config = dict(
        type=f'shake_mm.{method}',
        student=make_classifier(),
        teachers=dict(config=teacher, checkpoint=trained(teacher)),
        **kwargs,
    )
    model = MODELS.build(config)
    model.init_weights()
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.double().train()


def measured(model, inputs, samples, **options):
    meter = ShareMeter(model, **options)
    losses = model(inputs, samples, mode='loss')
    meter.close()
    assert meter.error is None
    return meter.found, losses


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_of_kd_by_its_formula(make_classifier, trained, batch):
    tau, lam, alpha = 3.0, 0.7, 0.4
    model = classifier_distiller(make_classifier, trained, tau=tau, lam=lam, alpha=alpha)
    inputs, samples = batch(dtype=torch.float64)
    seen = {}
    handles = [
        model.student.head.register_forward_hook(lambda m, a, out: seen.update(student=out.detach().numpy())),
        model.members.frozen['teacher0'].network.head.register_forward_hook(
            lambda m, a, out: seen.update(teacher=out.detach().numpy())
        ),
    ]
    (found,), _ = measured(model, inputs, samples)
    for handle in handles:
        handle.remove()
    weight = model.student.head.fc.weight.detach().numpy()
    logits, target = seen['student'], seen['teacher']
    labels = np.eye(5)[[int(sample.gt_label) for sample in samples]]
    own = alpha * (softmax(logits) - labels) / len(logits) @ weight
    distilled = lam * tau * (softmax(logits / tau) - softmax(target / tau)) / len(logits) @ weight
    expected = {'task': np.linalg.norm(own), 'student_from_teacher': np.linalg.norm(distilled)}
    assert found.place == 'student.neck'
    assert found.norms == pytest.approx(expected, rel=1e-9)
    shares = {name: norm / sum(expected.values()) for name, norm in expected.items()}
    assert found.shares == pytest.approx(shares, rel=1e-9) and sum(found.shares.values()) == pytest.approx(1)


def test_proxy_and_student_are_told_apart(make_classifier, trained, batch):
    """SHAKE: three divergences, of which two teach the proxy; all reach the trunk, and weights count."""
    model = classifier_distiller(make_classifier, trained, 'SHAKE', lam=0.3)
    inputs, samples = batch(dtype=torch.float64)
    (found,), losses = measured(model, inputs, samples)
    feats = {}
    handle = model.student.neck.register_forward_hook(lambda m, a, out: feats.update(value=out))
    losses = model(inputs, samples, mode='loss')
    handle.remove()
    names = dict(
        task='student.loss',
        student_from_proxy='loss_student_from_proxy',
        proxy_from_teacher='loss_proxy_from_teacher',
        proxy_from_student='loss_proxy_from_student',
    )
    assert set(found.norms) == set(names)
    for term, key in names.items():
        gradients = torch.autograd.grad(losses[key], feats['value'], retain_graph=True)
        assert found.norms[term] == pytest.approx(sum(g.square().sum().item() for g in gradients) ** 0.5, rel=1e-9)


# mmcv's suppression of boxes, which Faster R-CNN trains by, takes float32 alone.
@pytest.mark.parametrize('kind, dtype, rel', [('retinanet', torch.float64, 1e-8), ('faster_rcnn', torch.float32, 1e-4)])
def test_of_detectors_at_the_pyramid(kind, dtype, rel):
    """As the gradients of leaves in the place of the pyramid, loss by loss and term by term."""
    model = distiller('SHAKE', kind, lam=0.3).to(dtype)
    data = model.data_preprocessor(scenes(), True)
    inputs, samples = data['inputs'].to(dtype), data['data_samples']
    state = torch.get_rng_state()
    (found,), losses = measured(model, inputs, copy.deepcopy(samples))
    torch.set_rng_state(state)
    (each,), _ = measured(model, inputs, copy.deepcopy(samples), by_term=False)
    leaves = [level.detach().requires_grad_() for level in model.student.extract_feat(inputs)]
    torch.set_rng_state(state)
    with mock.patch.object(model.student, 'extract_feat', lambda inputs: tuple(leaves)):
        again = model(inputs, copy.deepcopy(samples), mode='loss')

    def norm(keys):
        total = sum(t.mean() for key in keys for t in (again[key] if isinstance(again[key], list) else [again[key]]))
        gradients = torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True)
        return sum(g.square().sum().item() for g in gradients if g is not None) ** 0.5

    own = [key for key in again if key.startswith('student.') and 'loss' in key]
    assert found.place == each.place == 'student.neck'
    assert {'student.loss_cls', 'student.loss_bbox'} <= set(own)
    assert found.norms['task'] == pytest.approx(norm(own), rel=rel)
    for key in own:
        assert each.norms[key] == pytest.approx(norm([key]), rel=rel)
    for term in ('student_from_proxy', 'proxy_from_teacher', 'proxy_from_student'):
        assert found.norms[term] == each.norms[f'loss_{term}'] == pytest.approx(norm([f'loss_{term}']), rel=rel)


def test_hints_are_measured_where_they_arrive(make_classifier, trained, batch):
    """A hint at the second stage does not pass the neck: all terms are measured at that stage."""
    hint = dict(
        of='student.f2',
        to='teacher*.f2',
        loss=dict(type='FitNetsLoss'),
        weight=2.0,
        connector=dict(type='ConvRegressor'),
    )
    model = classifier_distiller(make_classifier, trained, terms=dict(hint=hint))
    inputs, samples = batch(dtype=torch.float64)
    (found,), _ = measured(model, inputs, samples)
    stage = model.taps.layers('student.f2')[0]
    assert found.place == stage and set(found.norms) == {'task', 'student_from_teacher', 'hint'}
    seen = {}
    layer = model.student.get_submodule(stage.partition('.')[2])
    # What a tap copies must come from this very tensor.
    handle = layer.register_forward_hook(lambda m, a, out: seen.setdefault('out', out.clone()), prepend=True)
    losses = model(inputs, samples, mode='loss')
    handle.remove()
    for term, key in dict(task='student.loss', hint='loss_hint').items():
        (gradient,) = torch.autograd.grad(losses[key], seen['out'], retain_graph=True)
        assert found.norms[term] == pytest.approx(gradient.norm().item(), rel=1e-9)


def test_places_of_the_caller(make_classifier, trained, batch):
    model = classifier_distiller(make_classifier, trained)
    found, _ = measured(model, *batch(dtype=torch.float64), places=('backbone', 'head'))
    assert [each.place for each in found] == ['student.backbone', 'student.head']
    assert all(set(each.norms) == {'task', 'student_from_teacher'} for each in found)


def test_a_scale_changes_no_norm(make_classifier, trained, batch):
    model = classifier_distiller(make_classifier, trained)
    (plain,), _ = measured(model, *batch(dtype=torch.float64))
    (scaled,), _ = measured(model, *batch(dtype=torch.float64), scale=1024.0)
    assert scaled.norms == pytest.approx(plain.norms, rel=1e-12)


def test_what_sends_no_gradient_has_no_share(make_classifier, trained, batch):
    """A teacher that trains along learns for itself."""
    model = MODELS.build(dict(type='shake_mm.DML', student=make_classifier(), teachers=dict(config=make_classifier(8))))
    model.init_weights()
    (found,), _ = measured(model.double().train(), *batch(dtype=torch.float64))
    assert set(found.norms) == {'task', 'student_from_teacher'}


def test_a_compiled_student_is_refused(make_classifier, trained):
    model = classifier_distiller(make_classifier, trained)
    model.student.backbone.compile(backend='eager')
    with pytest.raises(UsageError, match='compiled student'):
        ShareMeter(model)


def test_a_network_without_a_trunk_is_refused():
    from mmengine.model import BaseModel

    class Alone(BaseModel):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(3, 3)

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return dict(loss=self.fc(inputs).sum()) if mode == 'loss' else self.fc(inputs)

    model = MODELS.build(dict(type='shake_mm.Baseline', student=Alone()))
    with pytest.raises(UsageError, match='where the trunk of a Alone ends is not known'):
        ShareMeter(model)


def test_what_fails_leaves_the_step_alone(make_classifier, trained, batch):
    """A layer of the head that goes back but once, or too little memory."""

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError('out of memory')

    model = classifier_distiller(make_classifier, trained)
    handle = model.student.head.register_forward_hook(lambda m, a, out: Once.apply(out))
    meter = ShareMeter(model)
    losses = model(*batch(dtype=torch.float64), mode='loss')
    meter.close()
    handle.remove()
    assert 'out of memory' in str(meter.error) and not meter.found and losses['student.loss'].isfinite()
