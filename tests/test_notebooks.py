"""The notebooks, run from their first cell to their last on a few pictures, and their pages on the site."""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'docs/notebooks'
SMALL = {'classifier': {'PICTURES': 120, 'EPOCHS': 1}, 'detector': {'PICTURES': 8, 'EPOCHS': 1}}
needs_jupyter = pytest.mark.skipif(
    any(find_spec(name) is None for name in ('nbclient', 'nbformat', 'ipykernel')),
    reason='nbclient, nbformat or ipykernel is not installed: requirements/docs.txt',
)


def small(source, sizes):
    """A cell whose sizes, where it sets them, are small."""
    for name, value in sizes.items():
        source = re.sub(rf'^{name} = \d+', f'{name} = {value}', source, flags=re.M)
    return source


def run(name, folder, monkeypatch):
    """Run a notebook in a folder; returns what its cells print, and the pictures that they show."""
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(FOLDER / f'{name}.ipynb', as_version=4)
    for cell in book.cells:
        cell.source = small(cell.source, SMALL[name]) if cell.cell_type == 'code' else cell.source
    for variable, value in dict(PYTHONPATH=ROOT, OMP_NUM_THREADS=1, PYTHONWARNINGS='ignore', MPLBACKEND='').items():
        monkeypatch.setenv(variable, str(value))
    monkeypatch.setenv('IPYTHONDIR', str(folder / '.ipython'))
    NotebookClient(book, timeout=500, kernel_name='python3', resources=dict(metadata=dict(path=str(folder)))).execute()
    outputs = [output for cell in book.cells if cell.cell_type == 'code' for output in cell.outputs]
    text = ''.join(output.text for output in outputs if output.output_type == 'stream')
    return text, [output for output in outputs if 'image/png' in output.get('data', {})]


@needs_jupyter
def test_a_classifier_on_a_folder_of_images(tmp_path, monkeypatch):
    text, pictures = run('classifier', tmp_path, monkeypatch)
    assert '90 pictures to train on, 30 to measure on, classes: 0 1 2 3 4 5 6 7 8 9' in text
    assert re.search(r'teacher [\d.]+ %, student alone [\d.]+ %', text)
    assert re.search(r'student of SHAKE [\d.]+ %', text) and 'answers as the student does: True' in text
    assert (tmp_path / 'runs/small/report/report.html').is_file() and len(pictures) == 1


@needs_jupyter
@pytest.mark.slow
def test_a_detector_on_a_coco_file(tmp_path, monkeypatch):
    text, pictures = run('detector', tmp_path, monkeypatch)
    assert 'annotations.json has 8 pictures' in text and re.search(r'\d+ boxes, the surest with [\d.]+', text)
    assert (tmp_path / 'runs/small/epoch_1.pth').is_file() and len(pictures) == 1


@pytest.mark.parametrize('name', SMALL)
def test_they_are_stored_without_outputs_and_become_pages(name, monkeypatch):
    book = json.loads((FOLDER / f'{name}.ipynb').read_text(encoding='utf-8'))
    assert all(not cell['outputs'] and cell['execution_count'] is None for cell in book['cells'] if 'outputs' in cell)
    monkeypatch.syspath_prepend(str(ROOT / 'docs'))
    monkeypatch.delitem(sys.modules, 'repository', raising=False)
    from repository import notebook_text

    page = notebook_text(FOLDER / f'{name}.ipynb')
    assert page.startswith('# Distill a ') and page.count('```python') == sum('outputs' in c for c in book['cells'])
    assert f'{name}.ipynb' in page
