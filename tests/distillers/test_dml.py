"""DML, DML† and KD† against the formulas; what their stages train, and in which mode."""

import pytest
import torch

from shake_mm.registry import MODELS

LAM, TAU = 0.3, 2.0


def build(make_classifier, trained, pretrained=False, **kwargs):
    teacher = make_classifier(8)
    entries = []
    for i in range(2):
        path = trained(teacher, f'{i}.pth', seed=i + 1)
        entries.append(dict(config=teacher, **(dict(checkpoint=path) if pretrained else {})))
    config = dict(type='shake_mm.DML', student=make_classifier(6), teachers=entries, lam=LAM, tau=TAU)
    model = MODELS.build({**config, **kwargs})
    torch.manual_seed(5)
    model.init_weights()
    if not pretrained:
        for parameter in model.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model.double().train()


def kl(a, b):
    p, q = (b.detach() / TAU).softmax(1), (a / TAU).softmax(1)
    return TAU**2 * (torch.xlogy(p, p) - torch.xlogy(p, q)).sum() / len(a)


def ce(logits, labels):
    return -(logits - logits.logsumexp(1, keepdim=True))[range(len(labels)), labels].mean()


@pytest.mark.parametrize('dagger', [False, True])
def test_formula_and_gradients(make_classifier, trained, batch, dagger):
    terms = dict(teacher_from_student=None) if dagger else None
    model = build(make_classifier, trained, terms=terms)
    inputs, samples = batch(4, dtype=torch.float64)
    labels = torch.cat([s.gt_label for s in samples])
    losses = model(inputs, samples, mode='loss')
    student = model.student(inputs, mode='tensor')
    teachers = [peer(inputs, mode='tensor') for peer in model.peers.values()]
    expected = {'student.loss': ce(student, labels)}
    for i, teacher in enumerate(teachers):
        expected[f'loss_student_from_teacher{i}'] = LAM / 2 * kl(student, teacher)
        expected[f'teacher{i}.loss'] = ce(teacher, labels)
        if not dagger:
            expected[f'loss_teacher_from_student{i}'] = LAM * kl(teacher, student)
    assert losses.keys() == expected.keys()
    names, parameters = zip(*model.named_parameters())
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value, rtol=1e-9, atol=1e-12)
        want = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        have = torch.autograd.grad(losses[key], parameters, retain_graph=True, allow_unused=True)
        for name, x, y in zip(names, want, have):
            assert (x is None) == (y is None), (key, name)
            if x is not None:
                torch.testing.assert_close(y, x, rtol=1e-7, atol=1e-11)


def test_pretrained_peers_keep_their_weights_through_init(make_classifier, trained):
    model = build(make_classifier, trained, pretrained=True)
    for i, peer in enumerate(model.peers.values()):
        state = torch.load(trained(make_classifier(8), f'{i}.pth', seed=i + 1), weights_only=True)['state_dict']
        assert torch.equal(peer.head.fc.weight, state['head.fc.weight'].double())


def test_head_only(make_classifier, trained, batch):
    """KD† (head): the peer's body keeps its weights, gets no gradient, and its BatchNorm does not move."""
    stages = [dict(train=['student', 'peers.teacher0.head', 'peers.teacher1.head'])]
    model = build(make_classifier, trained, pretrained=True, stages=stages)
    body = model.peers['teacher0'].backbone
    statistics = {k: v.clone() for k, v in body.named_buffers()}
    assert not any(module.training for module in body.modules()) and model.peers['teacher0'].head.training
    sum(model(*batch(4, dtype=torch.float64), mode='loss').values()).backward()
    assert all(torch.equal(v, statistics[k]) for k, v in body.named_buffers())
    assert all(p.grad is None for p in body.parameters())
    assert all(p.grad is not None for p in model.peers['teacher0'].head.parameters())


def test_first_epochs_only(make_classifier, trained, batch):
    """KD† (60): then the peer is frozen, in evaluation mode, and only teaches."""
    stages = [dict(until=60), dict(terms=['task', 'student_from_teacher'], train=['student'])]
    model = build(make_classifier, trained, pretrained=True, stages=stages)
    model.enter_stage(0)
    assert all(module.training for module in model.peers.modules())
    assert len(model(*batch(4, dtype=torch.float64), mode='loss')) == 7
    model.enter_stage(1)
    assert not any(module.training for peer in model.peers.values() for module in peer.modules())
    model.eval()
    model.train()
    assert not any(module.training for peer in model.peers.values() for module in peer.modules())
    losses = model(*batch(4, dtype=torch.float64), mode='loss')
    assert list(losses) == ['student.loss', 'loss_student_from_teacher0', 'loss_student_from_teacher1']
    sum(losses.values()).backward()
    assert all((p.grad is not None) == name.startswith('student') for name, p in model.named_parameters())
