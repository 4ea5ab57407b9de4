"""Shared queries: who is asked what, who learns from it, and that queries of other forms are refused."""

import pytest
import torch
from torch import nn

from shake_mm.connectors import RandomQueries, TeacherQueries
from shake_mm.errors import UsageError


class Decoder(nn.Module):
    """Answers a query by the sum of what was decoded, times the query: logits and boxes of one layer."""

    def __init__(self, width=6, learns=True):
        super().__init__()
        torch.manual_seed(width)
        self.__dict__['weight'] = nn.Parameter(torch.rand(()), learns)
        self.form = (('content', width), ('box', 4))

    def draw(self, decoding, number):
        """Ones, as many as asked for."""
        return torch.ones_like(decoding[:, :1]).expand(-1, number, -1)

    def forward(self, decoding, points):
        """Shape (N, Q, C) of both."""
        found = decoding.sum(1, keepdim=True) * points
        found = found if found.is_meta else self.weight.to(found) * found
        return [[found], [found + 1]]


def read(seed, queries):
    return torch.rand(2, queries, 6, generator=torch.Generator().manual_seed(seed))


def test_the_student_answers_the_teacher_s_queries():
    decoders = [Decoder(), Decoder()]
    mine, its = read(0, 5), read(1, 7)
    logits, boxes = TeacherQueries(decoders)([mine, its])
    wanted = decoders[0].weight * mine.sum(1, keepdim=True) * its
    torch.testing.assert_close(logits, [wanted])
    torch.testing.assert_close(boxes, [wanted + 1])
    logits[0].sum().backward()
    assert decoders[0].weight.grad is not None and decoders[1].weight.grad is None


def test_both_answer_random_queries_and_the_teacher_learns_nothing():
    decoders = [Decoder(), Decoder()]
    mine, its = read(0, 5), read(1, 7)
    answers = RandomQueries(decoders, number=3)([mine, its])
    assert [tuple(x.shape) for side in answers for x in side] == [(2, 3, 6)] * 4
    for decoding, decoder, found in zip((mine, its), decoders, (answers[0], answers[2])):
        torch.testing.assert_close(found[0], (decoder.weight * decoding.sum(1, keepdim=True)).expand(-1, 3, -1))
    assert [side[0].requires_grad for side in answers] == [True, True, False, False]


@pytest.mark.parametrize('kind', [TeacherQueries, RandomQueries])
def test_refused(kind):
    with pytest.raises(UsageError, match='`source` names 1 members, but it must name the decoders of two'):
        kind([Decoder()])
    with pytest.raises(UsageError, match='are a content of 6 and a box of 4 and the teacher.s a content of 8 and'):
        kind([Decoder(), Decoder(8)])


def test_no_query_is_refused():
    with pytest.raises(UsageError, match='RandomQueries: number is 0'):
        RandomQueries([Decoder(), Decoder()], number=0)


def test_neither_decoder_is_part_of_it():
    assert not list(RandomQueries([Decoder(), Decoder()]).parameters())
