"""What a teacher's largest logits cost and spoil, against an independent computation."""

import json
import math

import numpy as np
import torch

from benchmarks import sparse_logits
from tests.support.runs import run_config


def test_probabilities_are_those_of_the_kept_and_the_rest_shares_its_own():
    logits = torch.tensor([[3.0, 1.0, 2.0, -1.0, 0.5], [0.0, 4.0, -2.0, 1.0, 1.5]], dtype=torch.float64)
    left = sparse_logits.sparse(logits, 2)
    for row, want in zip(left.softmax(1).numpy(), logits.softmax(1).numpy()):
        first = np.argsort(-want)[:2]
        rest = np.setdiff1d(np.arange(5), first)
        np.testing.assert_allclose(row[first], want[first], rtol=2e-3)
        np.testing.assert_allclose(row[rest], want[rest].sum() / 3, rtol=2e-3)
    assert torch.equal(sparse_logits.sparse(logits, 5), logits)  # which float16 holds


def test_the_errors_are_those_of_their_formulas():
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 6, 9)) * 3
    row = sparse_logits.kept(torch.from_numpy(teacher), torch.from_numpy(student), 3, 2.0)
    left = sparse_logits.sparse(torch.from_numpy(teacher), 3).numpy()

    def softmax(logits):
        e = np.exp(logits / 2.0)
        return e / e.sum(1, keepdims=True)

    p, q, s = map(softmax, (teacher, left, student))
    assert math.isclose(row.kl, float((p * np.log(p / q)).sum(1).mean()), rel_tol=1e-9)
    assert math.isclose(row.gradient, float(np.linalg.norm(q - p) / np.linalg.norm(s - p)), rel_tol=1e-9)
    assert row.bytes == 3 * 4 + 2 + 4 and row.same_class == 1


def test_crops_of_a_run(shake, tmp_path, capsys):
    cfg = run_config(dict(shake), tmp_path)
    cfg.data_preprocessor = dict(num_classes=100)
    cfg.dump(tmp_path / 'config.py')
    out = tmp_path / 'out.json'
    options = ['--views', '40', '--keep', '2', '8', '--taus', '100', '--out', str(out)]  # its logits are far apart
    assert sparse_logits.main([str(tmp_path / 'config.py'), *options]) == 0
    figures = json.loads(out.read_text())
    assert (figures['views'], figures['classes']) == (40, 100)
    for rows in figures['taus'].values():
        assert [rows[k]['bytes'] for k in ('2', '8', '100')] == [14, 38, 204]
        assert min(rows['2']['kl'], rows['8']['kl']) > rows['100']['kl'] >= 0
    assert '40 crops, 100 classes' in capsys.readouterr().out
