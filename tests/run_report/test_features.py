"""Principal components, separation and CKA against independent computations."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from shake_mm.run_report.features import APART, _spread, likeness, principal, separation


def test_principal_components_are_those_of_scikit_learn():
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor([3.0, 2, 1, 1, 0.5, 0.1])
    points, share = principal(x)
    theirs = PCA(2).fit(x.double().numpy())
    expected = theirs.transform(x.double().numpy())
    expected *= np.sign(expected[np.abs(expected).argmax(0), [0, 1]])
    np.testing.assert_allclose(points.numpy(), expected, atol=1e-10)
    assert share == pytest.approx(theirs.explained_variance_ratio_.sum())
    flat, whole = principal(torch.arange(5.0)[:, None])  # one dimension has one component
    assert flat.shape == (5, 2) and not flat[:, 1].any() and whole == pytest.approx(1)


def test_separation_is_the_share_between_classes():
    x, labels = torch.randn(30, 4, generator=torch.Generator().manual_seed(2)), torch.arange(30) % 3
    means = {k: np.mean([x[i].numpy() for i in range(30) if labels[i] == k], axis=0) for k in range(3)}
    within = sum(np.sum((x[i].numpy() - means[int(labels[i])]) ** 2) for i in range(30))
    whole = np.sum((x.numpy() - x.numpy().mean(0)) ** 2)
    assert separation(x, labels) == pytest.approx(1 - within / whole, rel=1e-5)
    assert separation(labels[:, None].float(), labels) == pytest.approx(1)


def test_likeness_sees_through_rotations_and_scales():
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(50, 8, generator=generator), torch.randn(50, 5, generator=generator)
    turned, _ = torch.linalg.qr(torch.randn(8, 8, generator=generator))
    assert likeness(x, 3 * x @ turned + 7) == pytest.approx(1, abs=1e-6)
    gram = [values.double() - values.double().mean(0) for values in (x, y)]
    k, m = (values @ values.T for values in gram)
    expected = float((k * m).sum() / (k.norm() * m.norm()))  # as HSIC of Gram matrices
    assert likeness(x, y) == pytest.approx(expected) and expected < 0.5


def test_names_cover_none_of_each_other():
    places = {k: (0.5 + 0.01 * k, 0.4 + 0.01 * k) for k in range(6)} | {9: (0.9, 0.41)}
    moved = _spread(places)
    assert list(moved) == list(places) and moved[0] == places[0] and moved[9][1] == 0.41
    near = [(a, b) for a in moved.values() for b in moved.values() if a is not b and abs(a[0] - b[0]) < APART[0]]
    assert len(near) == 30 and all(abs(a[1] - b[1]) >= APART[1] - 1e-6 for a, b in near)
