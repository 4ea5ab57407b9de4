"""The report of a run: what is on the page, in the pictures, and what is refused."""

import base64
import io
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib import image

from shake_mm.cli import report
from shake_mm.run_report import curves_of, page_of, read
from shake_mm.run_report.figures import GAP
from shake_mm.run_report.page import FOLDED

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'report.md').read_text(encoding='utf-8')


def run(folder, tau=4, extra=(), epochs=4):
    """A folder as a run of SHAKE leaves it."""
    data = folder / '20260101_000000' / 'vis_data'
    data.mkdir(parents=True)
    rows = []
    for epoch in range(1, epochs + 1):
        terms = {'student.loss': 2 / epoch, 'loss_student_from_proxy': 50.0 / 10**epoch}
        rows.append(
            {
                'loss': 3.0,
                **terms,
                'time': 9.0 if epoch == 1 else 0.2,
                'epoch': epoch,
                'step': 10 * epoch,
                **dict(extra),
            }
        )
        accuracies = {'student/top1': 50.0 + epoch, 'teacher/top1': 75.0, 'proxy/top1': 50.5 + epoch}
        rows.append({'accuracy/top1': 50.0 + epoch, **accuracies, 'gap/teacher': 1 / epoch, 'step': epoch})
    (data / 'scalars.json').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    (data / 'config.py').write_text(f"model = dict(tau={tau}, type='shake_mm.SHAKE')\nwork_dir = '{folder}'\n")
    return str(folder)


class Reader(HTMLParser):
    """Gathers the pictures, the cells, and whatever would be loaded from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.images, self.cells, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == 'img':
            self.images.append(attrs)
        self.links += [v for k, v in attrs.items() if k in ('href', 'src') and not v.startswith('data:')]

    def handle_data(self, data):
        self.cells.append(data)


def test_one_page_that_needs_nothing_else(tmp_path, capsys):
    work = run(tmp_path / 'mine', extra={'share/task': 0.6, 'memory': 100})
    assert report.main([work, '--baseline', '49.5']) == 0 and '6 figures of 1 run' in capsys.readouterr().out
    out = tmp_path / 'mine' / 'report'
    assert {path.stem for path in out.glob('*.png')} == {'members', 'terms', 'shares', 'gaps', 'time', 'memory'}
    page = Reader((out / 'report.html').read_text(encoding='utf-8'))
    assert not page.links and len(page.images) == 6
    for shown in page.images:
        pixels = image.imread(io.BytesIO(base64.b64decode(shown['src'].partition(',')[2])))
        assert pixels.shape[0] > 300 and pixels[..., :3].std() > 0.01
    assert 'student/top1 goes from 51 to 54' in page.images[0]['alt']
    assert {'54', '75', "'shake_mm.SHAKE'", 'model.tau'} <= set(page.cells)


def test_axes_serve_most_points_and_names_stand_apart(tmp_path):
    figures = {figure.name: figure for figure in curves_of([read(run(tmp_path / 'a', epochs=40))], 60.0)}
    assert figures['time'].drawing.axes[0].get_ylim()[1] < 1  # the first step took 9 seconds
    assert figures['terms'].drawing.axes[0].get_yscale() == 'log'
    members = figures['members'].drawing.axes[0]
    heights = sorted(text.xy[1] for text in members.texts)
    assert len(heights) == 4 and all(b - a >= GAP - 1e-9 for a, b in zip(heights, heights[1:]))
    assert len({line.get_color() for line in members.lines}) == 4
    assert not any('accuracy' in text.get_text() for text in members.texts)  # it is the student's, drawn once


def test_shares_stand_where_they_were_measured(tmp_path):
    """Between two measurements the log repeats the first."""
    file = Path(run(tmp_path / 'a')) / '20260101_000000' / 'vis_data' / 'scalars.json'
    shares = [0.6, 0.6, 0.6, 0.4, 0.4, 0.5]
    rows = [{'loss': 1.0, 'share/task': share, 'epoch': 1, 'step': i} for i, share in enumerate(shares)]
    file.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    (figure,) = (figure for figure in curves_of([read(tmp_path / 'a')]) if figure.name == 'shares')
    (line,) = figure.drawing.axes[0].lines
    assert [*line.get_xdata()] == [0, 3, 5] and [*line.get_ydata()] == [0.6, 0.4, 0.5]


def test_a_single_validation_stands_at_a_whole_epoch_and_shares_that_are_not_there_are_told(tmp_path, capsys):
    figures = {figure.name: figure for figure in curves_of([read(run(tmp_path / 'a', epochs=1))])}
    axes = figures['members'].drawing.axes[0]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [0, 1, 2]
    assert report.main([str(tmp_path / 'a'), '--images', '0']) == 0
    assert 'None were logged: GradientShareHook' in (tmp_path / 'a' / 'report' / 'report.html').read_text()


@pytest.mark.parametrize('key', ['mIoU', 'coco/bbox_mAP'])
def test_the_students_own_metric_stands_beside_the_members(key, tmp_path):
    for name in 'ab':
        rows = [{key: 0.1 * i, f'teacher/{key}': 0.5, f'proxy0/{key}': 0.0, 'step': i} for i in (1, 2)]
        file = Path(run(tmp_path / name)) / '20260101_000000' / 'vis_data' / 'scalars.json'
        file.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    own = [f'student/{key}', f'teacher/{key}', f'proxy0/{key}']
    (figure,) = curves_of([read(tmp_path / 'a')])
    assert [row[0] for row in figure.rows] == own and figure.rows[0][1:] == ('0.1', '0.2', '0.2')
    (figure,) = curves_of([read(tmp_path / 'a'), read(tmp_path / 'b')])
    assert [row[0] for row in figure.rows] == [f'{name}: {each}' for name in 'ab' for each in own]


def test_several_runs_are_told_by_their_dashes(tmp_path):
    figures = curves_of([read(run(tmp_path / name)) for name in ('a', 'b')])
    axes = figures[0].drawing.axes[0]
    told = dict(zip((text.get_text() for text in axes.get_legend().texts), axes.get_legend().get_lines()))
    assert told.keys() == {'a', 'b'} and told['a'].get_linestyle() != told['b'].get_linestyle()
    assert {line.get_linestyle() for line in axes.lines} == {line.get_linestyle() for line in told.values()}
    assert len({line.get_color() for line in axes.lines}) == 3  # student, teacher, proxy


def test_the_page_of_the_docs_compares_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path / 'work_dirs' / 'my_shake')
    run(tmp_path / 'work_dirs' / 'my_kd', tau=2)
    (tmp_path / 'my_student.py').write_text("model = dict(type='shake_mm.SHAKE', tau=1)\n")
    for line in re.findall(r'^python -m shake_mm report ([^#\n]*)', PAGE, re.M):
        assert report.main(shlex.split(line)) == 0
    page = Reader(Path('compared/report.html').read_text(encoding='utf-8'))
    assert {'my_shake', 'my_kd', 'model.tau', '1', '2', '4'} <= set(page.cells) and 'model.type' not in page.cells
    assert 'my_kd: student/top1' in page.cells


def test_many_settings_are_folded(tmp_path):
    runs = [read(run(tmp_path / name)) for name in 'ab']
    many = [own._replace(config={f'model.x{i}': i * j for i in range(FOLDED + 2)}) for j, own in enumerate(runs)]
    page = page_of(many, [], {})
    assert f'<details><summary>{FOLDED + 1} settings</summary>' in page and 'model.x7' in page
    assert '<details>' not in page_of(runs, [], {})


def test_what_is_refused(tmp_path, capsys):
    assert report.main([str(tmp_path)]) == 1
    assert 'no run has logged anything there' in capsys.readouterr().err
    work = run(tmp_path / 'mine')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'report.html').write_text('mine')
    assert report.main([work, '--out', str(tmp_path / 'out')]) == 1
    assert 'report.html' in capsys.readouterr().err and (tmp_path / 'out' / 'report.html').read_text() == 'mine'
    assert not list((tmp_path / 'out').glob('*.png'))
    assert report.main([work]) == 0 and report.main([work]) == 0  # its own page is written anew
