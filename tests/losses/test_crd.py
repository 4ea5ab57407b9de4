"""CRDLoss against the benchmark's formulas in plain float64: loops, gathered rows, probabilities instead of logs."""

import io

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from shake_mm.errors import UsageError
from shake_mm.losses import CRDLoss, crd_nce
from shake_mm.registry import MODELS

N, K, SAMPLES, DIM = 5, 7, 23, 6


def nce(p, n, eps=1e-7):
    """One sample and one term after the other."""
    m = p.shape[1] - 1
    total = 0
    for row in p:
        total = total + torch.log(row[0] / (row[0] + m / n + eps))
        for q in row[1:]:
            total = total + torch.log((m / n) / (q + m / n + eps))
    return -total / len(p)


class Reference:
    """The benchmark's memory and criterion, starting from given memories."""

    def __init__(self, loss):
        self.memory = {s: getattr(loss, f'memory_{s}').double().clone() for s in ('student', 'teacher')}
        self.n, self.tau, self.momentum = loss.num_samples, loss.temperature, loss.momentum
        self.z = {}

    def __call__(self, student, teacher, idx, own):
        value = 0
        for name, embedding, other in (('student', student, 'teacher'), ('teacher', teacher, 'student')):
            rows = self.memory[other][idx]
            p = torch.exp((rows * embedding[:, None]).sum(-1) / self.tau)
            self.z.setdefault(name, p.detach().mean() * self.n)
            value = value + nce(p / self.z[name], self.n)
        for name, embedding in (('student', student), ('teacher', teacher)):
            for i, row in zip(own, embedding.detach()):
                row = self.momentum * self.memory[name][i] + (1 - self.momentum) * row
                self.memory[name][i] = row / row.norm()
        return value


def inputs(seed=0, n=N, k=K, samples=SAMPLES, dim=DIM, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    embeddings = [F.normalize(torch.randn(n, dim, generator=g, dtype=dtype), dim=1).requires_grad_() for _ in range(2)]
    own = torch.randperm(samples, generator=g)[:n]
    return *embeddings, torch.cat([own[:, None], torch.randint(samples, (n, k), generator=g)], 1), own


def step(loss, student, teacher, idx, own):
    """Value and both gradients."""
    value = loss(student, teacher, idx, own)
    return value, *torch.autograd.grad(value, (student, teacher))


@pytest.mark.parametrize('shape', [(1, 2), (3, 7), (4, 50)])
def test_nce_value_and_gradient(shape):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    got, want = crd_nce(x, 9), nce(y.exp(), 9)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
    torch.testing.assert_close(*(torch.autograd.grad(v, z)[0] for v, z in ((got, x), (want, y))), rtol=1e-10, atol=0)


def test_nce_number():
    """One negative of two samples: m P_n = 1/2, so each fraction of P = 1/4 and P = 3/2 is known."""
    value = crd_nce(torch.tensor([[0.25, 1.5]]).log(), 2)
    assert value.item() == pytest.approx(-np.log(0.25 / 0.75) - np.log(0.5 / 2), abs=1e-5)


def test_nce_of_a_vanishing_positive_is_finite():
    x = torch.tensor([[-200.0, 1.0]], requires_grad=True)
    value = crd_nce(x, 2)
    assert torch.isfinite(value) and torch.autograd.grad(value, x)[0][0, 0].item() == pytest.approx(-1)


@pytest.mark.parametrize('momentum', [0.0, 0.5, 0.9])
@pytest.mark.parametrize('shape', [dict(), dict(n=1, k=1), dict(n=1, k=30, dim=1), dict(n=9, k=3, dim=17)])
def test_three_steps_follow_the_benchmark(shape, momentum):
    """Values, both gradients, memories, and the Z of the first batch in all three."""
    loss = CRDLoss(SAMPLES, shape.get('dim', DIM), momentum=momentum).double()
    reference = Reference(loss)
    for seed in range(3):
        arguments = inputs(seed, **shape)
        for got, want in zip(step(loss, *arguments), step(reference, *arguments)):
            torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)
        for name in ('student', 'teacher'):
            torch.testing.assert_close(getattr(loss, f'memory_{name}'), reference.memory[name], rtol=1e-12, atol=1e-12)
    want = torch.stack([reference.z['student'], reference.z['teacher']])
    torch.testing.assert_close(loss.mean_score * SAMPLES, want, rtol=1e-12, atol=0)


def test_float32_at_the_benchmarks_settings():
    loss = CRDLoss(500)
    reference = Reference(loss)
    for seed in range(2):
        student, teacher, idx, own = inputs(seed, n=8, k=200, samples=500, dim=128, dtype=torch.float32)
        got, want = (
            step(loss, student, teacher, idx, own),
            step(reference, *(x.double() for x in (student, teacher)), idx, own),
        )
        for x, y in zip(got, want):
            torch.testing.assert_close(x.double(), y, rtol=2e-4, atol=1e-5)


def test_directions_are_not_the_same():
    student, teacher, idx, own = inputs()
    assert CRDLoss(SAMPLES, DIM).double()(student, teacher, idx, own) != CRDLoss(SAMPLES, DIM).double()(
        teacher, student, idx, own
    )


def test_z_stays_that_of_the_first_training_batch():
    loss = CRDLoss(SAMPLES, DIM).double()
    assert (loss.mean_score == -1).all()
    loss.eval()(*inputs(0))
    assert (loss.mean_score == -1).all()
    loss.train()(*inputs(1))
    first = loss.mean_score.clone()
    loss(*inputs(2))
    assert (first > 0).all() and torch.equal(loss.mean_score, first)


def test_memory_changes_in_the_batchs_rows_only_and_stays_of_unit_length():
    loss = CRDLoss(SAMPLES, DIM)
    before = loss.memory_teacher.clone()
    student, teacher, idx, own = inputs(dtype=torch.float32)
    loss(student, teacher, idx, own)
    changed = (loss.memory_teacher != before).any(1).nonzero().flatten()
    assert changed.tolist() == sorted(own.tolist())
    torch.testing.assert_close(loss.memory_teacher[changed].norm(dim=1), torch.ones(N))
    assert not loss.memory_teacher.requires_grad


def test_own_rows_may_differ_from_the_positives():
    """mode='relax': the positive is another sample of the class, and the memory row is still the sample's own."""
    student, teacher, idx, own = inputs()
    own = (idx[:, 0] + 1) % SAMPLES
    loss = CRDLoss(SAMPLES, DIM).double()
    reference = Reference(loss)
    torch.testing.assert_close(loss(student, teacher, idx, own), reference(student, teacher, idx, own))
    torch.testing.assert_close(loss.memory_student, reference.memory['student'])


def test_the_last_of_equal_indices_counts():
    student, teacher, idx, own = inputs()
    own = torch.tensor([4, 2, 4, 2, 4])
    loss, other = CRDLoss(SAMPLES, DIM).double(), CRDLoss(SAMPLES, DIM).double()
    loss(student, teacher, idx, own)
    other(student[3:], teacher[3:], idx[3:], own[3:])
    assert torch.equal(loss.memory_student, other.memory_student)


def test_evaluation_leaves_the_memory_alone():
    loss = CRDLoss(SAMPLES, DIM).double()
    loss(*inputs(0))
    state = {key: value.clone() for key, value in loss.state_dict().items()}
    value = loss.eval()(*inputs(1))
    assert all(torch.equal(loss.state_dict()[key], state[key]) for key in state)
    torch.testing.assert_close(loss.train()(*inputs(1)), value)


def test_memories_do_not_depend_on_the_random_state():
    first = CRDLoss(SAMPLES, DIM)
    torch.manual_seed(5)
    second = CRDLoss(SAMPLES, DIM)
    assert torch.equal(first.memory_student, second.memory_student)
    assert not torch.equal(first.memory_student, first.memory_teacher)
    big, bound = CRDLoss(4000, DIM).memory_teacher, (3 / DIM) ** 0.5
    assert big.abs().max() <= bound and abs(big.std() - bound / 3**0.5) < 0.01 and abs(big.mean()) < 0.02


def test_checkpoint_continues_where_it_stopped():
    loss = CRDLoss(SAMPLES, DIM).double()
    loss(*inputs(0))
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    resumed = CRDLoss(SAMPLES, DIM).double()
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for seed in (1, 2):
        assert torch.equal(resumed(*inputs(seed)), loss(*inputs(seed)))
    assert set(loss.state_dict()) == {'memory_student', 'memory_teacher', 'mean_score'}


def test_loss_weight_scales_and_batch_duplication_does_not_matter():
    student, teacher, idx, own = inputs()
    one = CRDLoss(SAMPLES, DIM).double()(student, teacher, idx, own)
    weighted = MODELS.build(dict(type='shake_mm.CRDLoss', num_samples=SAMPLES, dim=DIM, loss_weight=0.8)).double()
    torch.testing.assert_close(weighted(student, teacher, idx, own), 0.8 * one)
    twice = CRDLoss(SAMPLES, DIM).double()(*(torch.cat([x, x]) for x in (student, teacher, idx, own)))
    torch.testing.assert_close(twice, one)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_embeddings_and_autocast_give_the_float32_loss(dtype):
    student, teacher, idx, own = (x.detach() for x in inputs(dtype=torch.float32))
    student, teacher = (x.to(dtype).requires_grad_() for x in (student, teacher))
    want = CRDLoss(SAMPLES, DIM)(student.float(), teacher.float(), idx, own)
    loss = CRDLoss(SAMPLES, DIM)
    with torch.autocast('cpu', torch.bfloat16):
        value, *grads = step(loss, student, teacher, idx, own)
    assert value.dtype == loss.memory_student.dtype == torch.float32 and torch.equal(value, want)
    assert all(grad.dtype == dtype and torch.isfinite(grad).all() for grad in grads)


def test_half_precision_module_is_finite():
    """The Z of a large training set would overflow float16."""
    student, teacher, idx, own = (x.half() if x.is_floating_point() else x for x in inputs(dim=128, samples=50000))
    loss = CRDLoss(50000).half()
    for _ in range(2):
        assert all(torch.isfinite(x).all() for x in step(loss, student, teacher, idx, own))
    assert loss.memory_student.dtype == torch.float16 and torch.isfinite(loss.memory_student).all()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(num_samples=0), 'num_samples=0 .* length of the training set'),
        (dict(dim=0), 'dim=0'),
        (dict(temperature=0), 'temperature=0 .* larger than 0'),
        (dict(temperature=float('nan')), 'temperature=nan'),
        (dict(momentum=1.0), 'momentum=1.0 .* less than 1'),
        (dict(momentum=-0.1), 'momentum=-0.1'),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(UsageError, match=message):
        CRDLoss(**{'num_samples': SAMPLES, **arguments})


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda s, t, i, o: (s[:, :4], t, i, o), r'dim=6 .* student embeddings of shape \(5, 4\)'),
        (lambda s, t, i, o: (s, t[:, :, None], i, o), r'teacher embeddings of shape \(5, 6, 1\)'),
        (lambda s, t, i, o: (s, t, i[:, :1], o), 'ContrastDataset'),
        (lambda s, t, i, o: (s, t, i[:, 0], o), 'ContrastDataset'),
        (lambda s, t, i, o: (s, t[:4], i, o), '5 student and 4 teacher'),
        (lambda s, t, i, o: (s, t, i[:4], o), r'contrast_idx of shape \(4, 8\)'),
        (lambda s, t, i, o: (s, t, i, o[:, None]), r'own_idx of shape \(5, 1\)'),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    with pytest.raises(UsageError, match=message):
        CRDLoss(SAMPLES, DIM).double()(*change(*inputs()))
