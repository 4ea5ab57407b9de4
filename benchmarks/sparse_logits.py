"""What a teacher's largest logits of crops cost and spoil: ``python -m benchmarks.sparse_logits CONFIG``.

Random resized crops have no finite set of views. With ``--exact`` they are a function of the seed, the epoch and the
position, so that a crop takes no bytes, and a later run of the same seed could look up the logits that an earlier
one has computed. This draws such crops, keeps the k largest of a teacher's logits and one number for the others, and
compares what KD makes of that with what it makes of all of them::

    python -m benchmarks.sparse_logits configs/kd/kd_resnet14_resnet8_digits100.py --student epoch_20.pth
"""

import argparse
import math
import sys
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.training import quiet
from shake_mm import cli
from shake_mm.datasets.views import views_in
from shake_mm.members import load_strictly, read_weights
from shake_mm.registry import MODELS
from shake_mm.reports import add_output_arguments, claim_outputs, write_record

VALUE, INDEX, CHECKSUM = 2, 2, 4


class Kept(NamedTuple):
    """What keeping some logits of a view costs and spoils.

    Args:
        bytes (int): Of a view.
        kl (float): Mean divergence of the teacher's distribution from what is left of it, in nats.
        gradient (float): Error of KD's gradient at the student's logits, over that gradient, both root mean squares.
        same_class (float): Share of views of which the largest logit is still that of the same class.
    """

    bytes: int
    kl: float
    gradient: float
    same_class: float


def sparse(logits: Tensor, k: int) -> Tensor:
    """What is left of logits, shape (N, K), of which the k largest are kept, in float16, and one for all others.

    That one is such that all others together keep their probability at a temperature of 1.
    """
    kept = logits.half().to(logits.dtype)
    if k >= logits.shape[1]:
        return kept
    values, places = kept.topk(k, dim=1)
    others = logits.scatter(1, places, -math.inf).logsumexp(1, keepdim=True) - math.log(logits.shape[1] - k)
    return others.half().to(logits.dtype).expand_as(logits).scatter(1, places, values)


def bytes_of(k: int, classes: int) -> int:
    """Bytes of a view: values and classes of the k largest, one number for the others, and a checksum."""
    return VALUE * classes + CHECKSUM if k >= classes else k * (VALUE + INDEX) + VALUE + CHECKSUM


def kept(teacher: Tensor, student: Tensor, k: int, tau: float) -> Kept:
    """Cost and error of keeping k logits, at a temperature; logits of shape (N, K)."""
    teacher, student = teacher.double(), student.double()
    left = sparse(teacher, k)
    p, q, s = (logits.div(tau).log_softmax(1) for logits in (teacher, left, student))
    error, gradient = ((a.exp() - b.exp()).square().mean().sqrt().item() for a, b in ((q, p), (s, p)))
    kl = (p.exp() * (p - q)).sum(1).mean().item()
    same = (teacher.argmax(1) == left.argmax(1)).double().mean().item()
    return Kept(bytes_of(k, teacher.shape[1]), kl, error / gradient, same)


def logits_of_crops(cfg: dict, student: str | None, views: int, size: int) -> tuple[Tensor, Tensor]:
    """Logits of teacher and student, shape (N, K), for random resized crops, as ImageNet's recipe draws them."""
    dataset = cfg.train_dataloader.dataset
    before, _ = views_in(dataset.pipeline)
    crop = [dict(type='RandomResizedCrop', scale=size), dict(type='RandomFlip', prob=0.5, direction='horizontal')]
    dataset.pipeline = [*before, *crop, dict(type='PackInputs')]
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    with quiet():
        model = MODELS.build(cfg.model)
        model.init_weights()
    if student is not None:
        load_strictly(model.student, read_weights(student, '--student'), '--student', student)
    model.eval()
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    found: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad():
        for batch in islice(loader, math.ceil(views / cfg.train_dataloader.batch_size)):
            inputs = model.data_preprocessor(batch, False)['inputs']
            teacher = model.members.frozen['teacher0']
            found.append(
                (teacher.task.logits_of(teacher.network, teacher(inputs)), model.student(inputs, mode='tensor'))
            )
    return tuple(torch.cat(logits)[:views] for logits in zip(*found))


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Define and parse the command line."""
    parser = cli.ArgumentParser(description="Measure what a teacher's largest logits cost and spoil")
    parser.add_argument('config', help='a distillation config of classifiers, whose teacher is trained')
    parser.add_argument('--student', help='checkpoint of a trained student (default: random weights)')
    parser.add_argument('--views', type=int, default=1000, help='crops (1000)')
    parser.add_argument('--size', type=int, default=16, help='height and width of a crop (16)')
    parser.add_argument('--keep', type=int, nargs='+', default=[1, 5, 10, 16, 32, 64], help='how many logits')
    parser.add_argument('--taus', type=float, nargs='+', default=[1, 4], help='temperatures (1 4)')
    add_output_arguments(parser, 'also write the figures to this JSON file')
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def benchmark(args: argparse.Namespace) -> None:
    """Measure, print the figures, and write them to a file if one is given."""
    claim_outputs(args, args.config, args.student)
    torch.set_num_threads(1)
    cfg = cli.load_config(args.config, args.cfg_options)
    teacher, student = logits_of_crops(cfg, args.student, args.views, args.size)
    classes, console, figures = teacher.shape[1], Console(), {}
    for tau in args.taus:
        rows = {k: kept(teacher, student, k, tau) for k in [*(k for k in args.keep if k < classes), classes]}
        table = Table(title=f'{len(teacher)} crops, {classes} classes, temperature {tau:g}')
        for name in ('kept', 'bytes a view', 'KL', 'error of the gradient', 'same class'):
            table.add_column(name, justify='right')
        for k, row in rows.items():
            table.add_row(str(k), str(row.bytes), f'{row.kl:.2g}', f'{row.gradient:.2%}', f'{row.same_class:.1%}')
        console.print(table)
        figures[f'{tau:g}'] = {k: row._asdict() for k, row in rows.items()}
    if args.out is not None:
        write_record(args.out, dict(views=len(teacher), classes=classes, taus=figures), 'benchmarks.sparse_logits')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return cli.run(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
