"""The shadow head: the student's head again, deeper where the config says so."""

import torch

from shake_mm.registry import MODELS


def build(make_classifier, trained, proxies):
    teacher = make_classifier(8)
    return MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=make_classifier(6),
            teachers=dict(config=teacher, checkpoint=trained(teacher)),
            proxies=proxies,
        )
    )


def test_default_is_the_students_head_with_weights_of_its_own(make_classifier, trained, batch):
    model = build(make_classifier, trained, None)
    proxy = model.proxies['proxy0']
    assert type(proxy.head) is type(model.student.head)
    assert proxy.head.fc.weight.data_ptr() != model.student.head.fc.weight.data_ptr()
    feats = model.student.extract_feat(batch()[0])
    torch.testing.assert_close(proxy(feats), proxy.head.fc(feats[-1]))


def test_a_stronger_shadow_head_is_a_config(make_classifier, trained, batch):
    head = dict(type='StackedLinearClsHead', num_classes=5, in_channels=6, mid_channels=[12])
    model = build(make_classifier, trained, dict(type='ShadowHead', head=head))
    losses = model(*batch(), mode='loss')
    losses['loss_proxy_from_teacher'].backward()
    assert sum(p.numel() for p in model.proxies.parameters()) > 2 * sum(
        p.numel() for p in model.student.head.parameters()
    )
    assert all(p.grad is not None for p in model.proxies.parameters())


def test_a_neck_before_the_shadow(make_classifier, trained, batch):
    model = build(
        make_classifier,
        trained,
        dict(type='ShadowHead', source='student.backbone', neck=dict(type='GlobalAveragePooling')),
    )
    inputs, samples = batch()
    proxy = model.proxies['proxy0']
    expected = proxy.head(model.student.neck(model.student.backbone(inputs)))
    with model.taps.recording() as taps:
        model.student(inputs, samples, mode='loss')
        got = proxy(taps.raw('student.backbone'))
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


def test_initialized_by_the_runner_with_everything_else(make_classifier, trained):
    model = build(make_classifier, trained, None)
    before = model.proxies['proxy0'].head.fc.weight.clone()
    model.init_weights()
    assert not torch.equal(before, model.proxies['proxy0'].head.fc.weight)
    assert 0.005 < model.proxies['proxy0'].head.fc.weight.std() < 0.02  # LinearClsHead's Normal(0, 0.01)
