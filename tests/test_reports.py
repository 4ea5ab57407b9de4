"""Pages, figures and records say who wrote them, so that the next call may replace them, and nothing else."""

import argparse
import json
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from shake_mm.errors import UsageError
from shake_mm.outputs import is_ours
from shake_mm.reports import KINDS, add_output_arguments, claim_outputs, write_figure, write_page, write_record

ROOT = Path(__file__).resolve().parents[1]


def parsed(*argv, plot='draw'):
    parser = argparse.ArgumentParser()
    add_output_arguments(parser, 'write', plot)
    return parser.parse_args([str(part) for part in argv])


def figure(label='x'):
    drawing = Figure()
    drawing.subplots().set_xlabel(label)
    return drawing


@pytest.mark.parametrize('name', ['page.md', 'record.json', *(f'image{kind}' for kind in KINDS)])
def test_what_we_wrote_is_replaced_and_what_others_wrote_is_not(tmp_path, name):
    path = tmp_path / 'new' / name
    option = '--plot' if name.startswith('image') else '--out'
    claim_outputs(parsed(option, path))
    for text in ('first', 'second'):
        if name == 'page.md':
            write_page(path, f'# {text}\n', 'analysis.build_table')
        elif name == 'record.json':
            write_record(path, {'figures': [text]}, 'benchmarks.compare_steps')
        else:
            write_figure(path, figure(text))
        assert is_ours(path)
        claim_outputs(parsed(option, path))
    assert [found.name for found in path.parent.iterdir()] == [name]
    path.write_bytes(b'precious')
    with pytest.raises(UsageError, match=f'{option}: .*{re.escape(name)} exists and was not written by shake_mm'):
        claim_outputs(parsed(option, path))
    claim_outputs(parsed(option, path, '--overwrite'))
    assert path.read_bytes() == b'precious'


def test_images_that_others_drew_stay(tmp_path):
    for kind in KINDS:
        figure().savefig(tmp_path / f'a{kind}')
        with pytest.raises(UsageError, match='was not written by shake_mm'):
            claim_outputs(parsed('--plot', tmp_path / f'a{kind}'))


def test_pages_and_records_are_what_they_hold(tmp_path):
    write_page(tmp_path / 'a.md', '# Title\n', 'analysis.sweep')
    assert (tmp_path / 'a.md').read_text().endswith('overwrites this page. -->\n\n# Title\n')
    write_record(tmp_path / 'a.json', {'setting': {'ä': 1}}, 'benchmarks.compare_steps')
    assert json.loads((tmp_path / 'a.json').read_text())['setting'] == {'ä': 1}


def test_places_that_cannot_be_meant(tmp_path):
    notes = tmp_path / 'notes.md'
    write_page(notes, 'x', 'analysis.sweep')
    for args, words in (
        (parsed('--plot', 'a.jpg'), 'a.jpg must end in .png or .svg or .pdf'),
        (parsed('--out', 'a.png', '--plot', './a.png'), 'is the file of --out too'),
        (parsed('--out', notes), 'is read by this very command'),
        (parsed('--out', tmp_path), 'is a folder'),
    ):
        with pytest.raises(UsageError, match=words):
            claim_outputs(args, None, notes)
    claim_outputs(parsed('--out', tmp_path / 'new.json', plot=None))


def test_the_pages_and_images_in_docs_are_known():
    """Each that a tool writes anew says so; others are by people."""
    mine = [path for path in (ROOT / 'docs').iterdir() if is_ours(path)]
    names = {path.name for path in mine}
    tables = {f'table{i}_digits100.md' for i in range(1, 7)}
    assert names >= {*tables, 'exchange_digits100.md', 'sweep_digits100.md', 'detection_digits.md', 'bad_inputs.md'}
    screenshots = {'report.png'}
    assert names >= {path.name for path in (ROOT / 'docs').glob('*.png')} - screenshots
    assert not names & {'security.md', 'resume.md', 'results_digits100.md', 'architecture.md'}
