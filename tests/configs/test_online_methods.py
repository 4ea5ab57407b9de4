"""ONE, CL, OKDDip and AFD: every term by its formula in float64, whom it trains, and whole runs."""

import math
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch.nn import functional as F

from shake_mm.registry import MODELS

from .cells import CONFIGS, TABLES, cell_path, shortened, train_resume_export

PAIR = 'resnet14_resnet8'
FAST = ('okddip', 'afd')


@pytest.fixture
def build(make_classifier):
    """A method, by its name or file, on tiny classifiers, in double precision."""

    def build(method, **more):
        path = method if isinstance(method, Path) else CONFIGS / f'_base_/methods/{method}.py'
        config = Config.fromfile(path).method.to_dict()
        torch.manual_seed(0)
        model = MODELS.build(dict(config, student=make_classifier(6), **more))
        model.init_weights()
        for parameter in model.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
        return model.double().train()

    return build


@pytest.fixture
def run(build, batch):
    """The losses of a step, the logits and pooled features of all heads, the shared map, and the labels."""

    def run(method, epoch=0):
        model = build(method)
        for term in model.terms.values():
            term.enter(epoch, by_epoch=True)
        inputs, samples = batch(dtype=torch.float64)
        losses = model(inputs, samples, mode='loss')
        backbone, shared = model.student.backbone, []
        handle = backbone.layer2.register_forward_hook(lambda module, args, output: shared.append(output))
        pooled = [model.student.extract_feat(inputs)[-1]]
        handle.remove()
        logits = [model.student.head.fc(pooled[0])]
        for proxy in model.proxies.values():
            pooled.append(proxy.network.backbone.layer3(shared[0]).mean((2, 3)))
            logits.append(proxy.network.head.fc(pooled[-1]))
        labels = torch.cat([sample.gt_label for sample in samples])
        return model, losses, logits, pooled, shared[0], labels

    return run


def soft(z, tau):
    return (z / tau).exp() / (z / tau).exp().sum(1, keepdim=True)


def kl(a, target, tau):
    """From a target that is a prediction already."""
    q = soft(a, tau)
    return tau**2 * (target * (target / q).log()).sum() / len(a)


def same(model, losses, expected):
    """Equal values and gradients, also where there are none."""
    parameters = list(model.parameters())
    for key, wanted in expected.items():
        torch.testing.assert_close(
            losses[key], wanted, rtol=1e-9, atol=1e-12, msg=lambda text, key=key: f'{key}: {text}'
        )
        sides = (
            torch.autograd.grad(x, parameters, retain_graph=True, allow_unused=True) for x in (losses[key], wanted)
        )
        for found, gradient in zip(*sides):
            assert (found is None) == (gradient is None), key
            if found is not None:
                torch.testing.assert_close(found, gradient, rtol=1e-7, atol=1e-10)
    assert {key for key in losses if 'loss' in key} == expected.keys()


def test_one(run):
    model, losses, logits, _, shared, labels = run('one')
    gate = model.connectors['ensemble']
    scores = F.batch_norm(
        shared.mean((2, 3)) @ gate.fc.weight.T + gate.fc.bias, None, None, gate.bn.weight, gate.bn.bias, training=True
    )
    weights = soft(scores.clamp(min=0), 1)
    ensemble = sum(weights[:, i : i + 1] * z for i, z in enumerate(logits))
    target = soft(ensemble, 3.0).detach()
    expected = {
        'student.loss': F.cross_entropy(logits[0], labels),
        'loss_ensemble_task': F.cross_entropy(ensemble, labels),
    }
    expected['loss_student_from_ensemble'] = kl(logits[0], target, 3.0)
    for i, z in enumerate(logits[1:]):
        expected[f'loss_branch_task{i}'] = F.cross_entropy(z, labels)
        expected[f'loss_branch_from_ensemble{i}'] = kl(z, target, 3.0)
    same(model, losses, expected)


def test_cl(run):
    model, losses, logits, *_, labels = run('cl')
    names = ['student_from_others', *(f'head{i}_from_others' for i in range(3))]
    expected = {}
    for i, (name, z) in enumerate(zip(names, logits)):
        target = soft(sum(x for j, x in enumerate(logits) if j != i) / 3, 2.0).detach()
        expected[f'loss_{name}'] = -0.5 * 4.0 * (target * soft(z, 2.0).log()).sum() / len(z)
        expected['student.loss' if i == 0 else f'loss_head_task{i - 1}'] = 0.5 * F.cross_entropy(z, labels)
    # What is shared gets a quarter of every gradient, of the expected ones too: the hook is on the layer.
    same(model, losses, expected)


def test_cl_gives_what_is_shared_the_mean(build, batch):
    scaled, plain = build('cl'), build('cl', gradient_scales=None)
    inputs, samples = batch(dtype=torch.float64)
    found, wanted = (
        torch.autograd.grad(m.parse_losses(m(inputs, samples, mode='loss'))[0], list(m.parameters()))
        for m in (scaled, plain)
    )
    own = ('student.backbone.layer3', 'student.head', 'proxies')
    for (name, _), a, b in zip(scaled.named_parameters(), found, wanted):
        torch.testing.assert_close(a, b * (1 if name.startswith(own) else 0.25))


def test_okddip(run):
    model, losses, logits, pooled, _, labels = run('okddip')
    term = model.terms['peers'].loss
    queries, keys = ([h @ layer.weight.T for h in pooled[1:]] for layer in (term.query, term.key))
    predictions = [soft(z, 3.0) for z in logits[1:]]
    peers = 0.0
    for query, z in zip(queries, logits[1:]):
        weights = soft(torch.stack([(query * key).sum(1) for key in keys], dim=1), 1)
        peers = peers + kl(z, sum(weights[:, [b]] * q.detach() for b, q in enumerate(predictions)), 3.0)
    expected = {'student.loss': F.cross_entropy(logits[0], labels), 'loss_peers': peers}
    expected['loss_leader'] = kl(logits[0], (sum(predictions) / 3).detach(), 3.0)
    expected |= {f'loss_peer_task{i}': F.cross_entropy(z, labels) for i, z in enumerate(logits[1:])}
    same(model, losses, expected)


@pytest.mark.parametrize('name', ['okddip', 'one'])
def test_as_the_authors_code_has_it(name, run, tmp_path):
    """What the page says to set: OKDDip's averages of logits, and both methods' weights, which rise over 80 epochs."""
    (block,) = re.findall(r'```python\nmodel(.*?)```', (CONFIGS / name / 'README.md').read_text(), re.S)
    path = tmp_path / 'method.py'
    path.write_text(f"_base_ = '{CONFIGS}/_base_/methods/{name}.py'\nmethod{block}")
    model, losses, logits, pooled, _, labels = run(path, epoch=40)
    share = math.exp(-5 * (1 - 40 / 80) ** 2)
    if name == 'one':
        rising = {key for key, term in model.terms.items() if term.factor != 1}
        assert rising == {'student_from_ensemble', 'branch_from_ensemble0', 'branch_from_ensemble1'}
        assert all(model.terms[key].factor == pytest.approx(share) for key in rising)
        return
    term = model.terms['peers'].loss
    queries, keys = ([h @ layer.weight.T for h in pooled[1:]] for layer in (term.query, term.key))
    peers = 0.0
    for query, z in zip(queries, logits[1:]):
        weights = soft(torch.stack([(query * key).sum(1) for key in keys], dim=1), 1)
        peers = peers + kl(z, soft(sum(weights[:, [b]] * x.detach() for b, x in enumerate(logits[1:])), 3.0), 3.0)
    expected = {'student.loss': F.cross_entropy(logits[0], labels), 'loss_peers': share * peers}
    expected['loss_leader'] = share * kl(logits[0], soft(sum(logits[1:]) / 3, 3.0).detach(), 3.0)
    expected |= {f'loss_peer_task{i}': F.cross_entropy(z, labels) for i, z in enumerate(logits[1:])}
    same(model, losses, expected)


def test_afd(build, make_classifier, batch):
    model = build('afd', teachers=[dict(config=make_classifier(8))])
    inputs, samples = batch(dtype=torch.float64)
    losses = model(inputs, samples, mode='loss')
    networks = {'student': model.student, 'teacher': model.peers['teacher0']}
    maps, logits = {}, {}
    for name, network in networks.items():
        last = []
        handle = network.backbone.layer3.register_forward_hook(
            lambda module, args, output, last=last: last.append(output)
        )
        logits[name] = network(inputs, mode='tensor')
        handle.remove()
        conv, norm, _ = model.connectors[f'{name}_maps']
        y = F.conv2d(last[0], conv.weight, padding=1)
        maps[name] = F.batch_norm(y, None, None, norm.weight, norm.bias, training=True).relu()
    labels = torch.cat([sample.gt_label for sample in samples])
    for name, other in (('student', 'teacher'), ('teacher', 'student')):
        judge = model.terms[f'{name}_afd'].loss.discriminator
        fake, real = maps[name], maps[other].detach()
        value = (1 - judge(real)).pow(2).mean() + judge(fake.detach()).pow(2).mean() + (1 - judge(fake)).pow(2).mean()
        torch.testing.assert_close(losses[f'loss_{name}_afd'], value)
        own = [p for key, p in model.named_parameters() if key.startswith(('student', 'peers', 'connectors'))]
        player = (1 - judge(fake)).pow(2).mean()
        for a, b in zip(
            torch.autograd.grad(losses[f'loss_{name}_afd'], own, retain_graph=True, allow_unused=True),
            torch.autograd.grad(player, own, retain_graph=True, allow_unused=True),
        ):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b)
    wanted = {
        'student.loss': F.cross_entropy(logits['student'], labels),
        'teacher0.loss': F.cross_entropy(logits['teacher'], labels),
        'loss_student_from_teacher': kl(logits['student'], soft(logits['teacher'], 3.0).detach(), 3.0),
        'loss_teacher_from_student': kl(logits['teacher'], soft(logits['student'], 3.0).detach(), 3.0),
    }
    for key, value in wanted.items():
        torch.testing.assert_close(losses[key], value, rtol=1e-9, atol=0)


def test_the_missing_cells_of_table_2():
    """Twenty of two teachers, on the five pairs that had none; seven of each other row."""
    pairs = TABLES.ONLINE_PAIRS['cifar100']
    two = [cell_path(method, f'2x{t}_{s}') for method in TABLES.TWO_TEACHERS for t, s in pairs]
    others = [cell_path(method, '_'.join(pair)) for method in TABLES.ONLINE for pair in pairs]
    assert len(two) == 28 and len(others) == 35 and all(path.is_file() for path in (*two, *others))
    for path in two:
        teachers = Config.fromfile(path).model.teachers
        assert [teacher.checkpoint.split('/')[-2] for teacher in teachers] == ['seed0', 'seed1']


@pytest.mark.parametrize(
    'method', [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in TABLES.ONLINE]
)
def test_a_cell_trains_resumes_and_exports(method, tmp_path):
    def configure(epochs):
        return shortened(Config.fromfile(cell_path(method, PAIR, 'digits100')), tmp_path, epochs)

    first, last, plain = train_resume_export(configure, tmp_path, (1, 2))
    assert plain.model.type == 'ImageClassifier' and 'head.fc.weight' in ''.join(last)
    unused = ('num_batches', 'data_preprocessor', 'head.', 'proxies.proxy')
    for key, value in last.items():
        if not any(part in key for part in unused):
            assert not torch.equal(first[key], value), key
