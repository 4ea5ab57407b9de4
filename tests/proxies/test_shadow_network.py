"""The proxy that is a network of its own."""

import torch

from shake_mm.registry import MODELS

LAM, TAU = 0.3, 2.0


def test_every_term_and_gradient(make_classifier, trained, batch):
    """Against the formulas, in float64: nothing of the proxy reaches the student's body, and nothing back."""
    teacher = make_classifier(8)
    model = MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=make_classifier(6),
            teachers=dict(config=teacher, checkpoint=trained(teacher)),
            proxies=dict(type='ShadowNetwork'),
            lam=LAM,
            tau=TAU,
        )
    )
    model.init_weights()
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    model = model.double().train()
    inputs, samples = batch(dtype=torch.float64)
    got = model(inputs, samples, mode='loss')

    proxy = model.proxies['proxy0'].network
    f_s, f_p = model.student(inputs, mode='tensor'), proxy(inputs, mode='tensor')
    f_t = model.members.frozen['teacher0'].network(inputs, mode='tensor')

    def kl(a, b):
        p = (b.detach() / TAU).softmax(dim=1)
        return TAU**2 * (p * (p.log() - (a / TAU).softmax(dim=1).log())).sum() / len(a)

    expected = {
        'loss_student_from_proxy': (LAM * kl(f_s, f_p), model.student),
        'loss_proxy_from_teacher': (kl(f_p, f_t), proxy),
        'loss_proxy_from_student': (LAM * kl(f_p, f_s), proxy),
    }
    assert got.keys() == {'student.loss', *expected}
    parameters = list(model.parameters())
    for key, (value, learner) in expected.items():
        torch.testing.assert_close(got[key], value, rtol=1e-9, atol=0)
        have = torch.autograd.grad(got[key], parameters, retain_graph=True, allow_unused=True)
        want = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        mine = {id(parameter) for parameter in learner.parameters()}
        for parameter, x, y in zip(parameters, have, want):
            assert (x is not None) == (y is not None) == (id(parameter) in mine)
            if x is not None:
                torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-12)


def test_architecture_is_the_students_unless_given(make_classifier, trained):
    teacher = make_classifier(8)
    base = dict(
        type='shake_mm.SHAKE', student=make_classifier(6), teachers=dict(config=teacher, checkpoint=trained(teacher))
    )
    same = MODELS.build({**base, 'proxies': dict(type='ShadowNetwork')}).proxies['proxy0']
    other = MODELS.build({**base, 'proxies': dict(type='ShadowNetwork', network=make_classifier(10))}).proxies['proxy0']
    assert same.network.head.fc.in_features == 6 and other.network.head.fc.in_features == 10
