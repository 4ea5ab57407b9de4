"""Facts of a batch that losses ask for, made of its labels, for tests that run every loss."""

import torch

from shake_mm import losses

CLASSES, BATCH, SAMPLES = 6, 4, 10
PYRAMID = [(BATCH, CLASSES, 6, 8), (BATCH, CLASSES, 3, 5)]


def contrast(labels):
    """Each sample and three others."""
    own = torch.arange(len(labels))
    return (own[:, None] + torch.arange(4)) % SAMPLES, own


def objects(labels):
    """A box in each image, and the size of the batch."""
    return [torch.tensor([[2.0, 1.0, 14.0, 9.0]])] * len(labels), (12, 20)


def masks(labels):
    """Of three prompts in what is left of two levels, and in the details of a scale."""
    numbers = torch.Generator().manual_seed(3)
    return [torch.rand(len(labels), 3, *size, generator=numbers) for size in ((3, 4), (3, 4), (2, 3), (2, 3))]


def tokens(labels):
    """Of three tokens in two levels: masks, shares, and the tokens."""
    numbers = torch.Generator().manual_seed(3)
    shapes = [(3, *level[2:]) for level in PYRAMID], [(3,)] * 2, [(3, CLASSES)] * 2
    return [[torch.rand(len(labels), *shape, generator=numbers) for shape in part] for part in shapes]


def behind(levels, samples):
    """Stands for a network's own loss."""
    return sum((level / 1e3).square().mean() for level in levels)


def corners(x):
    """Any numbers (N, P, 4) as boxes, of a pixel at least."""
    return torch.cat([x[..., :2], x[..., :2] + x[..., 2:].abs() + 1], dim=-1)


def places(labels, shapes, priors=1):
    """All priors of the levels valid, some positive, an object an image."""
    weight = [torch.ones(len(labels), priors * h * w) for *_, h, w in shapes]
    positive = [torch.arange(level.numel()).view_as(level) % 3 == 0 for level in weight]
    return losses.Places(positive, weight, torch.tensor(float(len(labels))))


def found_objects(labels):
    """An object in each image, and the images' sizes."""
    return (
        [torch.tensor([[2.0, 1.0, 14.0, 9.0]])] * len(labels),
        [label[None] for label in labels],
        [(12, 20)] * len(labels),
    )
