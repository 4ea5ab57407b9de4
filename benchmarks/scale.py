"""What methods move and keep as sets and machines grow: ``python -m benchmarks.scale``, the tables of docs/scale.md.

Nothing is timed. Parameters are counted on the networks of our configs, bytes on the tensors that the code keeps or
sends; what a ring of n processes sends is 2 (n - 1) / n of a sum of gradients, by each of them.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.gpu_checks import Bench
from benchmarks.training import quiet
from shake_mm import cli, compat
from shake_mm.losses import CRDLoss

FLOAT, INDEX, CHECKSUM = 4, 8, 4
GPUS = (1, 8, 64, 1024)


class Set(NamedTuple):
    """A training set.

    Args:
        name (str): What it is.
        images (int): How many.
        classes (int): How many.
        views (int): Views of an image, 0 where they are endless.
        epochs (int): How often each is seen.
    """

    name: str
    images: int
    classes: int
    views: int
    epochs: int


SETS = (
    Set('CIFAR-100', 50_000, 100, 162, 240),
    Set('ImageNet', 1_281_167, 1000, 0, 100),
    Set('a billion', 10**9, 1000, 0, 1),
)


def ring_bytes(parameters: int, processes: int) -> float:
    """Bytes that each process sends in a step to sum float32 gradients."""
    return 2 * (processes - 1) / processes * FLOAT * parameters


def cache_bytes(data: Set) -> int:
    """Bytes of the logits of all views, or of every epoch where views are endless; with a checksum each."""
    return data.images * (data.views or data.epochs) * (2 * data.classes + CHECKSUM)


def crd_state_bytes(images: int, dim: int = 128) -> int:
    """Bytes of CRD's two memories, which each process holds, by what a row of them takes."""
    buffers = CRDLoss(2, dim).buffers()
    return images * sum(buffer[0].numel() * buffer.element_size() for buffer in buffers if buffer.dim() == 2)


def crd_step_bytes(images: int, batch: int = 64, negatives: int = 16384, dim: int = 128) -> int:
    """Bytes that a step of CRD reads of its memories: all of both, or of a large set the rows of the batch, twice."""
    whole = 2 * images * dim * FLOAT
    return whole if images <= 500_000 else 4 * batch * (negatives + 1) * dim * FLOAT


def crd_sent_bytes(batch: int = 64, dim: int = 128) -> int:
    """Bytes of embeddings and indices that each process sends to all others in a step of CRD."""
    return batch * (2 * dim * FLOAT + INDEX)


def aekd_sent_bytes(teachers: int) -> int:
    """Bytes of the matrix of products of gradients that AEKD sums in a step."""
    return teachers * teachers * FLOAT


def parameters(pair: str) -> Iterator[tuple[str, int]]:
    """Trained parameters by method, of a pair's networks; networks that are not trained have no gradients to send."""
    cfg = cli.load_config(f'{compat.configs_dir()}/_base_/pairs/{pair}.py')
    for method in ('kd', 'shake', 'dml'):
        with quiet():
            model = Bench(cfg, 'cpu', 1, 32).model(method)
        yield method, sum(p.numel() for p in model.parameters() if p.requires_grad)


def human(number: float) -> str:
    """A number of bytes with a unit of thousands, such as ``'1.31 GB'``."""
    for unit in ('B', 'kB', 'MB', 'GB', 'TB'):
        if number < 999.5 or unit == 'TB':
            return f'{number:.3g} {unit}' if number < 1000 else f'{number:,.0f} {unit}'
        number /= 1000
    raise AssertionError  # the last unit takes all


def tables(pairs: Sequence[str]) -> Iterator[str]:
    """The tables of the page, line by line, of these pairs and all sets."""
    yield '| pair | method | trained parameters | ' + ' | '.join(f'sent, n = {n}' for n in GPUS) + ' |'
    yield '|---|---|---|' + '---|' * len(GPUS)
    for pair in pairs:
        for method, number in parameters(pair):
            sent = ' | '.join(human(ring_bytes(number, n)) for n in GPUS)
            yield f'| {pair} | {method} | {number:,} | {sent} |'
    yield ''
    yield '| set | images | cache of logits | read a second at 10,000 images | CRD keeps | CRD reads a step |'
    yield '|---|---|---|---|---|---|'
    for data in SETS:
        reads = human(10_000 * (2 * data.classes + CHECKSUM))
        own = (cache_bytes(data), reads, crd_state_bytes(data.images), crd_step_bytes(data.images))
        cells = ' | '.join(value if isinstance(value, str) else human(value) for value in own)
        yield f'| {data.name} | {data.images:,} | {cells} |'
    yield ''
    crd, aekd = human(crd_sent_bytes()), human(aekd_sent_bytes(3))
    yield f'CRD sends {crd} a process and step (batch 64), AEKD of 3 teachers {aekd}.'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    parser = argparse.ArgumentParser(description='What methods move and keep as sets and machines grow')
    parser.add_argument('--pairs', nargs='*', default=['resnet110_resnet20_cifar100'], help='pairs to count')
    cli.add_common_arguments(parser)
    return cli.run(lambda args: print('\n'.join(tables(args.pairs))), parser.parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
