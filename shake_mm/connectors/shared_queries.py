"""Queries that two decoders answer: the distillation points of KD-DETR (Wang et al., CVPR 2024)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..registry import MODELS
from ..validation import check_number


class _SharedQueries(nn.Module):
    """What connectors of two taps ``decoding`` have in common: whose they are, and that their queries are of one form.

    Args:
        behind_each (Sequence[nn.Module]): The decoders of the student and of a frozen teacher.

    Raises:
        UsageError: If there are not two, or they take queries of other forms.
    """

    def __init__(self, behind_each: Sequence[nn.Module]) -> None:
        super().__init__()
        name = type(self).__name__
        if len(behind_each) != 2:
            raise UsageError(
                f'{name}: `source` names {len(behind_each)} members, but it must name the decoders of two: '
                "['student.decoding', 'teacher0.decoding']."
            )
        mine, its = (_words(decoder.form) for decoder in behind_each)
        if mine != its:
            raise UsageError(
                f"{name}: the student's queries are {mine} and the teacher's {its}: give both detectors decoders of "
                'one kind and width.'
            )
        self.__dict__['decoders'] = tuple(behind_each)  # their weights are those of members


@MODELS.register_module()
class TeacherQueries(_SharedQueries):
    """What the student answers to the teacher's own queries, the specialized distillation points.

    It is a shared connector of ``source=['student.decoding', 'teacher0.decoding']``. The student's decoder runs once
    more, on what its encoder made for its own queries: no backbone, neck or encoder does. What the teacher answers are
    its own logits and boxes.

    Args:
        behind_each (Sequence[nn.Module]): The two decoders; the distiller fills them in.

    Raises:
        UsageError: If they are not those of two members that take queries of one form.
    """

    def forward(self, decoding: Sequence[Mapping[str, Any]]) -> list[list[Tensor]]:
        """Answer.

        Args:
            decoding (Sequence[dict]): What the student's and the teacher's decoder read.

        Returns:
            list: The student's logits (N, Q, K) and boxes (N, Q, 4), each a list over its layers.
        """
        mine, its = decoding
        return self.decoders[0](mine, its)


@MODELS.register_module()
class RandomQueries(_SharedQueries):
    """What the student and the teacher answer to queries drawn anew in each step, the general distillation points.

    It is a shared connector of ``source=['student.decoding', 'teacher0.decoding']``. Both decoders run once more, the
    teacher's without gradients. All images get the same queries, drawn as new embeddings are, from N(0, 1).

    Args:
        behind_each (Sequence[nn.Module]): The two decoders; the distiller fills them in.
        number (int): How many queries. Defaults to 300.

    Raises:
        UsageError: If the decoders are not those of two members that take queries of one form, or there is no query.
    """

    def __init__(self, behind_each: Sequence[nn.Module], number: int = 300) -> None:
        super().__init__(behind_each)
        check_number('RandomQueries: number', number, least=1)
        self.number = number

    def forward(self, decoding: Sequence[Mapping[str, Any]]) -> list[list[Tensor]]:
        """Draw and answer.

        Args:
            decoding (Sequence[dict]): What the student's and the teacher's decoder read.

        Returns:
            list: The student's logits (N, Q, K) and boxes (N, Q, 4), then the teacher's, each a list over layers.
        """
        mine, its = decoding
        points = self.decoders[0].draw(mine, self.number)
        with torch.no_grad():
            answers = self.decoders[1](its, points)
        return [*self.decoders[0](mine, points), *answers]


def _words(form: Sequence[tuple[str, int]]) -> str:
    return ' and '.join(f'a {name} of {number}' for name, number in form)
