"""OFDLoss against the three cases of the authors' loss, with a margin."""

import torch

from shake_mm.losses import partial_l2

from .compare import agree, pair, same_size

MARGIN = -0.7


def reference(s, t):
    """As the authors write it: by the margin, on features that went through no transform yet."""
    s, t = same_size(s, t)
    cases = (s - MARGIN) ** 2 * ((s > MARGIN) & (t <= MARGIN))
    cases = cases + (s - t) ** 2 * ((s > t) & (t > MARGIN) & (t <= 0))
    return (cases + (s - t) ** 2 * (t > 0)).sum() / len(s)


def test_value_and_gradient():
    s, t = pair((3, 4, 5, 5), (3, 4, 5, 5))
    with torch.no_grad():
        kinds = [(s > MARGIN) & (t <= MARGIN), (s > t) & (t > MARGIN) & (t <= 0), t > 0, (s <= t) & (t <= 0)]
    assert all(kind.any() for kind in kinds)
    agree(lambda x, y: partial_l2(x, y.clamp(min=MARGIN)), reference, s, t)


def test_maps_of_other_sizes_are_pooled():
    s, t = pair((2, 3, 4, 6), (2, 3, 6, 3))
    agree(partial_l2, lambda x, y: partial_l2(*same_size(x, y)), s, t)
