"""The expected calibration error by its definition, and what is drawn of it."""

import pytest
import torch

from shake_mm.run_report.calibration import BINS, draw_reliability, reliability


def test_the_error_by_its_definition():
    """Sorted by hand: a loop over the bins (j/10, (j+1)/10]."""
    generator = torch.Generator().manual_seed(0)
    sure = torch.rand(500, generator=generator, dtype=torch.float64)
    sure[:3] = torch.tensor([0.0, 0.3, 1.0])  # edges, too
    right = torch.rand(500, generator=generator) < sure**2
    expected, counts = 0.0, []
    for j in range(BINS):
        own = [i for i in range(500) if j / BINS < sure[i] <= (j + 1) / BINS or (j == 0 and sure[i] == 0)]
        if own:
            counts.append(len(own))
            difference = sum(float(right[i]) for i in own) / len(own) - sum(float(sure[i]) for i in own) / len(own)
            expected += len(own) / 500 * abs(difference)
    found = reliability(sure, right)
    assert found.error == pytest.approx(expected, abs=1e-12) and found.counts == counts
    assert expected > 0.1  # squares of confidences are far from them


def test_known_errors():
    """Sure to 100 % and right half of the time: 50 points. As often right as sure: none."""
    assert reliability(torch.ones(4), torch.tensor([1, 0, 1, 0])).error == pytest.approx(0.5)
    assert reliability(torch.full((4,), 0.75), torch.tensor([1, 1, 1, 0])).error == pytest.approx(0)
    assert reliability(torch.zeros(0), torch.zeros(0)).error == 0


def test_bins_of_few_answers_are_hollow():
    sure = torch.cat([torch.full((100,), 0.85), torch.tensor([0.15])])
    figure = draw_reliability({'student': (sure, sure > 0.5), 'nobody': (sure[:0], sure[:0] > 0)}, 'pictures')
    axes = figure.drawing.axes[0]
    diagonal, line = axes.lines
    assert line.get_xdata() == pytest.approx([0.85]) and list(diagonal.get_xdata()) == [0, 1]
    faces = axes.collections[0].get_facecolors()
    assert len(faces) == 2 and faces[0].tolist() == [1, 1, 1, 1] and faces[1].tolist() != [1, 1, 1, 1]
    rows = dict((row[0], row[1:]) for row in figure.rows)
    assert rows['student'][-1] == '101' and rows['nobody'] == ('0.00', '–', '–', '0')
    assert 'student: ECE' in axes.texts[0].get_text() + axes.texts[1].get_text()
