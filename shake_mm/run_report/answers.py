"""What the members of classifiers answer to pictures of the validation set, and what their last layers read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..engine import MemberEvaluation
from ..errors import UsageError
from ..evaluation.member_metric import gap
from .rebuilt import Rebuilt


class Answer(NamedTuple):
    """What one member says to all pictures.

    Args:
        title (str): What it is called in pictures.
        run (int): Which of the runs it is of.
        member (str): Its name there.
        logits (Tensor): Shape (N, K), float32, on the CPU.
        features (Tensor, optional): What its classifier reads, shape (N, D).
        teacher (Tensor, optional): Logits of the teacher that it is compared with, shape (N, K).
    """

    title: str
    run: int
    member: str
    logits: Tensor
    features: Tensor | None
    teacher: Tensor | None

    @property
    def says(self) -> Tensor:
        """The class that it gives each picture, shape (N,)."""
        return self.logits.argmax(1)

    @property
    def confidence(self) -> Tensor:
        """The probability of what it says, shape (N,)."""
        return self.logits.softmax(1).amax(1)

    @property
    def gap(self) -> Tensor:
        """KL(teacher ‖ member) of every picture in nats, shape (N,)."""
        return gap(self.logits, self.logits if self.teacher is None else self.teacher)


class Asked(NamedTuple):
    """Classifiers that were asked.

    Args:
        runs (list[Rebuilt]): Of which runs.
        positions (list[int]): Where the pictures stand in the validation set.
        labels (Tensor): The true classes, shape (N,).
        answers (list[Answer]): By member: students, then proxies, then teachers.
    """

    runs: list[Rebuilt]
    positions: list[int]
    labels: Tensor
    answers: list[Answer]

    @property
    def classes(self) -> list[str]:
        """The names of the classes, by their numbers."""
        return self.runs[0].classes

    def of(self, *kinds: str) -> list[Answer]:
        """The answers of ``'student'``, ``'proxy'`` or ``'teacher'``."""
        return [answer for answer in self.answers if answer.member.startswith(kinds)]

    def picture(self, i: int) -> np.ndarray:
        """The i-th picture as the members get it, before it is normalized: (H, W, 3) or (H, W), 0 to 1."""
        return shown(self.runs[0], self.runs[0].dataset[self.positions[i]]['inputs'])


def ask(runs: Sequence[Rebuilt], number: int) -> Asked:
    """Ask the members of all runs.

    Args:
        runs (sequence of Rebuilt): Runs that were validated on the same pictures.
        number (int): At most how many.

    Raises:
        UsageError: If members are not compared by a class for each picture.
    """
    positions = runs[0].positions(number)
    found: list[Answer] = []
    labels = torch.zeros(0)
    for i, run in enumerate(runs):
        logits, features, labels = _evaluate(run, positions)
        teacher = next((logits[name] for name in logits if name.startswith('teacher')), None)
        titles = run.titles()
        for name, values in logits.items():
            mine = None if name.startswith('teacher') else teacher
            title = titles[name] if len(runs) == 1 else f'{run.name}: {titles[name]}'
            found.append(Answer(title, i, name, values, features.get(name), mine))
    return Asked(list(runs), positions, labels, _in_order(found))


def _in_order(answers: Sequence[Answer]) -> list[Answer]:
    """Students, proxies, teachers; a teacher that runs share once, also for those that have none."""
    teachers: list[Answer] = []
    for answer in answers:
        same = answer.member.startswith('teacher') and any(_close(answer, other) for other in teachers)
        if answer.member.startswith('teacher') and not same:
            teachers.append(answer)
    if len(teachers) == 1:
        teachers = [teachers[0]._replace(title='teacher')]
    spare = teachers[0].logits if teachers else None
    others = [answer._replace(teacher=spare) if answer.teacher is None else answer for answer in answers]
    return [answer for kind in ('student', 'proxy') for answer in others if answer.member.startswith(kind)] + teachers


def _close(one: Answer, other: Answer) -> bool:
    return one.logits.shape == other.logits.shape and torch.allclose(one.logits, other.logits, atol=1e-4)


@torch.no_grad()
def _evaluate(run: Rebuilt, positions: list[int]) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Logits and features by member, and the labels."""
    members = run.model.members
    if not members.compared or members.task.measured_by != 'logits':
        raise UsageError(f'the members of {run.name} have no logits of classes that could be compared.')
    stand_in = MemberEvaluation(run.model, {}, 'val')
    samples: list[Any] = []
    parts: list[dict[str, Tensor]] = []
    with features_of(run) as latest:
        for batch in run.batches(positions):
            samples += stand_in.val_step(batch)
            parts.append(dict(latest))
            latest.clear()
    if samples[0].get('member_activation') == 'sigmoid':
        raise UsageError(f'the networks of {run.name} give each picture several classes, or none.')
    names = samples[0].get('member_logits')
    logits = {n: torch.stack([sample.get('member_logits')[n] for sample in samples]).float().cpu() for n in names}
    labels = torch.stack([sample.get('gt_label').reshape(-1)[0] for sample in samples]).cpu()
    features = {name: torch.cat([part[name] for part in parts]) for name in names if all(name in p for p in parts)}
    return logits, features, labels


@contextmanager
def features_of(run: Rebuilt) -> Iterator[dict[str, Tensor]]:
    """Record, by member, what the last linear layer of a pass reads that makes logits, shape (N, D)."""
    latest: dict[str, Tensor] = {}
    classes = run.model.members.number_of_classes('student')

    def note(name: str, layer: nn.Module, args: tuple, output: Tensor) -> None:
        if output.ndim == args[0].ndim == 2 and output.shape[1] == classes:
            latest[name] = args[0].detach().float().cpu()

    networks = {**run.model.members.networks, **run.model.objective.proxies}
    handles = [
        layer.register_forward_hook(partial(note, name))
        for name, network in networks.items()
        for layer in network.modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        yield latest
    finally:
        for handle in handles:
            handle.remove()


def shown(run: Rebuilt, inputs: Tensor) -> np.ndarray:
    """An image of a pipeline, (C, H, W), as one to look at: (H, W, 3) or (H, W), 0 to 1."""
    image = inputs.float().cpu()
    if inputs.dtype == torch.uint8:
        image = image / 255
    else:  # the pipeline has normalized it: all that is left is its own range
        image = (image - image.amin()) / (image.amax() - image.amin()).clamp(min=1e-6)
    preprocessor = run.model.data_preprocessor
    swapped = getattr(preprocessor, '_channel_conversion', False) or getattr(preprocessor, 'to_rgb', False)
    if len(image) == 3:
        return (image.flip(0) if swapped else image).permute(1, 2, 0).numpy()
    return image[0].numpy()
