"""DeiT: the distillation token as the proxy, against an independent float64 computation."""

import pytest
import torch
from torch.nn import functional as F

from shake_mm.engine import MemberPredictor
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

LAM, TAU, SMOOTH = 0.3, 2.0, 0.1
SMOOTHED = dict(type='mmpretrain.LabelSmoothLoss', label_smooth_val=SMOOTH, mode='original')


def deit():
    """A DeiT of two layers for images of 8x8."""
    return dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        backbone=dict(
            type='DistilledVisionTransformer',
            arch=dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=12),
            img_size=8,
            patch_size=4,
        ),
        head=dict(type='DeiTClsHead', num_classes=5, in_channels=8),
        data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=5),
    )


@pytest.fixture
def model(make_classifier, trained):
    teacher = make_classifier(8)
    built = MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=dict(config=deit(), taps=dict(logits='head.layers.head')),
            teachers=dict(config=teacher, checkpoint=trained(teacher)),
            proxies=dict(type='ShadowToken'),
            terms=dict(task=dict(of='student.logits', loss=SMOOTHED)),
            tau=TAU,
            lam=LAM,
        )
    )
    for parameter in built.parameters():  # mmpretrain's heads begin with zeros
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return built.double().train()


def heads(model, inputs):
    """Logits of the class token, of the distillation token and of the teacher, without the engine."""
    tokens, layers = model.student.backbone(inputs)[-1], model.student.head.layers
    f_s, f_p = (F.linear(t, h.weight, h.bias) for t, h in zip(tokens, (layers.head, layers.head_dist)))
    with torch.no_grad():
        f_t = model.members.frozen['teacher0'].network(inputs, mode='tensor')
    return f_s, f_p, f_t


def kl(a, b):
    """tau^2 KL(softmax(b/tau) || softmax(a/tau)), mean over the batch; b is a target."""
    log_p, log_q = (b.detach() / TAU).log_softmax(1), (a / TAU).log_softmax(1)
    return TAU**2 * (log_p.exp() * (log_p - log_q)).sum() / len(a)


@pytest.mark.parametrize('size, mixed', [(1, False), (3, False), (3, True)])
def test_every_term_equals_the_formula(model, batch, size, mixed):
    inputs, samples = batch(size, dtype=torch.float64)
    scores = F.one_hot(torch.cat([sample.gt_label for sample in samples]), 5).float()
    if mixed:  # as Mixup leaves it
        scores = 0.7 * scores + 0.3 * scores.flip(0)
        for sample, score in zip(samples, scores):
            sample.set_gt_score(score)
    got = model(inputs, samples, mode='loss')
    f_s, f_p, f_t = heads(model, inputs)
    expected = {
        'loss_task': -(((1 - SMOOTH) * scores + SMOOTH / 5) * f_s.log_softmax(1)).sum() / size,
        'loss_student_from_proxy': LAM * kl(f_s, f_p),
        'loss_proxy_from_teacher': kl(f_p, f_t),
        'loss_proxy_from_student': LAM * kl(f_p, f_s),
    }
    assert got.keys() == expected.keys()
    parameters = list(model.parameters())
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value, rtol=1e-6, atol=1e-9, msg=key)
        want, have = (
            torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in (value, got[key])
        )
        assert [x is None for x in want] == [y is None for y in have], key
        for x, y in zip(want, have):
            if x is not None:
                torch.testing.assert_close(y, x, rtol=1e-6, atol=1e-9)
    assert len({round(value.item(), 6) for value in expected.values()}) == 4


def test_who_gets_which_gradient(model, batch):
    losses = model(*batch(dtype=torch.float64), mode='loss')
    names = [name for name, _ in model.named_parameters()]
    body = {name for name in names if name.startswith('student.backbone.')}
    assert {'student.backbone.pos_embed', 'student.backbone.cls_token', 'student.backbone.dist_token'} <= body
    head, token = (
        {f'student.head.layers.{layer}.{kind}' for kind in ('weight', 'bias')} for layer in ('head', 'head_dist')
    )
    assert body | head | token == set(names)  # the proxy adds nothing
    for key, own in {
        'loss_task': head,
        'loss_student_from_proxy': head,
        'loss_proxy_from_teacher': token,
        'loss_proxy_from_student': token,
    }.items():
        grads = torch.autograd.grad(losses[key], list(model.parameters()), retain_graph=True, allow_unused=True)
        reached = {name for name, grad in zip(names, grads) if grad is not None and grad.abs().sum() > 0}
        # Each token attends to the other: both learn from every term.
        assert reached == body | own, key


def test_each_head_can_speak(model, batch):
    inputs, samples = batch(dtype=torch.float64)
    f_s, f_p, _ = heads(model.eval(), inputs)

    def said(member):
        found = MemberPredictor(model, member).evaluate(inputs, samples)
        return torch.stack([sample.pred_score for sample in found])

    torch.testing.assert_close(said('student'), ((f_s + f_p) / 2).softmax(1))
    torch.testing.assert_close(said('proxy0'), f_p.softmax(1))


def test_a_student_without_a_token_is_refused(make_classifier, trained):
    teacher = make_classifier(8)
    config = dict(
        type='shake_mm.SHAKE',
        student=make_classifier(6),
        teachers=dict(config=teacher, checkpoint=trained(teacher)),
        proxies=dict(type='ShadowToken'),
    )
    with pytest.raises(UsageError, match='head.layers.head_dist'):
        MODELS.build(config)
