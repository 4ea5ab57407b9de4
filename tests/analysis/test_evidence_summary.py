"""What was reported, in one table of the README, one of the page on methods, and a picture."""

from itertools import product
from pathlib import Path

import matplotlib
import pytest

from analysis.evidence import pages, records, summary
from analysis.evidence.records import Record
from analysis.evidence.reports import reports
from analysis.evidence.rows import PLAIN
from analysis.evidence.studies import STUDIES
from analysis.plots.intervals import draw_intervals
from shake_mm.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
PAIR = STUDIES['report-few'].pairs[0]


def keep(folder, study, row, values, pair=PAIR, **known):
    facts = dict(known, gap=None, step=0.01, config='abc', commit='1234567', machine='a processor', date='2026-01-01')
    for seed, value in enumerate(values):
        records.add(study, Record(row=row, pair=pair, seed=seed, value=value, **facts), folder)


@pytest.fixture
def folder(tmp_path):
    """KD adds 2, 1 and 3 points, SHAKE nothing on the mean; DIST has one seed, and its pair a study to choose by."""
    for row, values in {PLAIN: (10, 12, 11), 'KD': (12, 13, 14), 'SHAKE': (11, 12, 10), 'DIST': (13,)}.items():
        keep(tmp_path, 'report-few', row, values, teacher=90.5 if row == 'SHAKE' else None)
        keep(tmp_path, 'methods-few', row, values)
    keep(tmp_path, 'report-100', PLAIN, (50, 51, 52))
    return tmp_path


def test_what_counts_as_reported(folder):
    """Test pictures alone, and three seeds of the student, KD and SHAKE."""
    (found,) = reports(folder)
    assert (found.study.name, found.pair, found.student, found.study.unit) == ('report-few', PAIR, 'ResNet-8', '%')
    assert set(found.rows) == {PLAIN, 'KD', 'SHAKE', 'DIST'}
    assert found.differences('KD') == [2, 1, 3] and found.differences('DIST', 'KD') == [1]


def test_the_tables(folder):
    """2 ± 4.302653 / √3 is −0.48 to 4.48; 0 ± 4.302653 / √3, and −2 ± 4.302653 · √3 / √3."""
    found = reports(folder)
    assert summary.short_table(found).splitlines()[2:] == [
        '| ResNet-8 | 90.5 | 11.0 % | +2.0 (−0.5 to 4.5) | +0.0 (−2.5 to 2.5) |'
    ]
    assert summary.long_table(found).splitlines()[2:] == [
        '| [ResNet-8, fashion-few](evidence_report_few.md) | 3 | 90.5 | 11.0 % | +2.0 (−0.5 to 4.5) '
        '| +0.0 (−2.5 to 2.5) | −2.0 (−6.3 to 2.3) |'
    ]


def test_no_figure_is_minus_zero(tmp_path):
    """0.0002 ± 4.302653 · 0.01 / √3 is −0.025 to 0.025."""
    for row, values in {PLAIN: (1, 1, 1), 'KD': (0.9902, 1.0002, 1.0102), 'SHAKE': (1, 1, 1)}.items():
        keep(tmp_path, 'report-few', row, values)
    assert '| +0.0 (0.0 to 0.0) | +0.0 (0.0 to 0.0) |' in summary.short_table(reports(tmp_path))


def test_a_student_on_two_sets_is_told_with_them(folder):
    for row in ('KD', 'SHAKE'):
        keep(folder, 'report-100', row, (60, 61, 62))
    names = [line.split(' | ')[0] for line in summary.short_table(reports(folder)).splitlines()[2:]]
    assert names == ['| ResNet-8, fashion100', '| ResNet-8, fashion-few']


def test_a_student_twice_on_one_set_is_told_with_what_differs(tmp_path):
    for study, row in product(('report-detectors', 'long-detectors'), (PLAIN, 'KD', 'SHAKE')):
        keep(tmp_path, study, row, (1, 2, 3), pair=STUDIES[study].pairs[1])
    names = [line.split(' | ')[0] for line in summary.short_table(reports(tmp_path)).splitlines()[2:]]
    assert names == ['| RetinaNet', '| RetinaNet, 36 epochs']
    told = [(study.pairs, study.told) for study in STUDIES.values() if study.split == 'test']
    assert len(set(told)) == len(told)  # no two reports that a table cannot tell apart


def test_a_teacher_that_no_record_tells_of(tmp_path):
    for row in (PLAIN, 'KD', 'SHAKE'):
        keep(tmp_path, 'report-few', row, (1, 2, 3))
    assert [cell.strip() for cell in summary.short_table(reports(tmp_path)).splitlines()[2].split('|')][2:4] == [
        '–',
        '2.0 %',
    ]


def test_they_stand_between_two_comments(folder):
    page = folder / 'page.md'
    page.write_text(f'before\n\n{summary.BEGIN}\nold\n{summary.END}\n\nafter\n', encoding='utf-8')
    for _ in range(2):
        summary.fill(page, '| new |')
        assert page.read_text(encoding='utf-8') == (f'before\n\n{summary.BEGIN}\n\n| new |\n\n{summary.END}\n\nafter\n')
    page.write_text(f'{summary.END} {summary.BEGIN}', encoding='utf-8')
    with pytest.raises(UsageError, match='there is no place for the table'):
        summary.fill(page, '| new |')
    assert summary.write(folder, folder / 'nothing') == []


def test_the_picture(folder, monkeypatch):
    """The best one on top, a line for every interval, and a circle for a single seed."""
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    kept = []
    monkeypatch.setattr(plt, 'close', kept.append)
    draw_intervals(reports(folder), folder / 'a.png')
    assert (folder / 'a.png').read_bytes().startswith(b'\x89PNG')
    (axes,) = kept[-1].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ['DIST', 'KD', 'SHAKE']
    lines = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 2.2 and len(line.get_xdata()) == 2]
    assert [list(line) for line in lines] == [
        pytest.approx([-0.484, 4.484], abs=1e-3),
        pytest.approx([-2.484, 2.484], abs=1e-3),
    ]
    circles = [line for line in axes.lines if line.get_marker() == 'o' and len(line.get_xdata()) == 1]
    assert [(line.get_xdata()[0], line.get_fillstyle()) for line in circles] == [(3, 'none'), (2, 'full'), (0, 'full')]


def test_the_committed_pages_are_what_the_records_say():
    found = reports()
    tables = {'README.md': summary.short_table(found), 'docs/which_method.md': summary.long_table(found)}
    for name, table in tables.items():
        assert f'{summary.BEGIN}\n\n{table}\n\n{summary.END}' in (ROOT / name).read_text(encoding='utf-8'), name
    for study in STUDIES.values():
        kept = records.read(study.name)
        page = ROOT / 'docs' / pages.page_of(study)
        assert page.is_file() == bool(kept), study.name
        assert not kept or page.read_text(encoding='utf-8').endswith(pages.render(study, kept)), study.name
