"""The documentation site: it builds without a warning, its examples run, and a browser shows it at two widths."""

import doctest
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import shake_mm

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'
MODULES = [
    '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
    for path in sorted((ROOT / 'shake_mm').rglob('*.py'))
    if re.search(r'>>> (?!.*# doctest: \+SKIP)', path.read_text(encoding='utf-8'))
]
BROWSER = shutil.which('chromium') or shutil.which('google-chrome')
PAGES = ('index', 'first_steps', 'api/distillers', 'table4_digits100', 'which_method')
needs_sphinx = pytest.mark.skipif(
    importlib.util.find_spec('sphinx') is None, reason='Sphinx is not installed: requirements/docs.txt'
)


def test_examples_of_docstrings_run():
    torch.manual_seed(0)
    names = {'torch': torch, 'shake_mm': shake_mm}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    results = {
        name: doctest.testmod(importlib.import_module(name), extraglobs=names, optionflags=flags) for name in MODULES
    }
    assert len(MODULES) > 40 and all(result.attempted for result in results.values())
    assert not {name for name, result in results.items() if result.failed}


def build(folder, builder):
    """Run Sphinx over a copy of the pages' folder, whose generated pages do not touch the checkout."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-b', builder]
    return subprocess.run(
        [*command, '-d', folder / 'doctrees', DOCS, folder / 'site'],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )


@needs_sphinx
def test_every_page_and_link_is_there(tmp_path):
    """A page outside the index, a link that leads nowhere and a docstring that Sphinx cannot read are warnings.

    Links that leave the site are listed, and not fetched: without a network the site builds all the same.
    """
    result = build(tmp_path, 'dummy')
    assert result.returncode == 0, result.stderr[-3000:]
    lines = (tmp_path / 'site' / 'external_links.txt').read_text(encoding='utf-8').splitlines()
    pages = {address: names for address, *names in map(str.split, lines)}
    assert len(pages) > 50 and 'index' in pages['https://openreview.net/forum?id=prQT0gN81oG']
    assert not [address for address in pages if not address.startswith('https://')]


@needs_sphinx
@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason='there is no Chromium')
def test_a_browser_shows_it_on_a_desk_and_on_a_phone(tmp_path):
    """No page is wider than its window, every picture has a text, and the search finds a method."""
    result = build(tmp_path, 'html')
    assert result.returncode == 0, result.stderr[-3000:]
    for page in PAGES:
        html = (tmp_path / 'site' / f'{page}.html').read_text(encoding='utf-8')
        assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r'<img [^>]*>', html)), page
        for width in (1280, 412):
            assert scroll_width(tmp_path / 'site' / f'{page}.html', width) <= width, (page, width)
    index = (tmp_path / 'site' / 'searchindex.js').read_text(encoding='utf-8')
    assert 'reviewkd' in index.lower()


def scroll_width(page, width):
    """How wide a window of that width has to scroll a page, by the page's own layout."""
    html = page.read_text(encoding='utf-8')
    script = '<script>onload = () => document.title = "w" + document.documentElement.scrollWidth</script>'
    probe = page.with_name(f'probe-{page.name}')
    frame = page.with_name(f'frame-{page.name}')
    probe.write_text(html.replace('</head>', f'{script}</head>'), encoding='utf-8')
    frame.write_text(
        f'<iframe id="f" src="{probe.name}" style="width:{width}px;height:900px;border:0"></iframe><script>'
        'f.onload = () => setTimeout(() => document.title = f.contentDocument.title, 200)</script>',
        encoding='utf-8',
    )
    own = f'--user-data-dir={page.with_name("browser")}'  # shared with no other that runs
    command = [BROWSER, '--headless=new', '--no-sandbox', '--disable-gpu', '--allow-file-access-from-files']
    dom = subprocess.run(
        [*command, own, '--virtual-time-budget=5000', '--dump-dom', frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    return int(re.search(r'<title>w(\d+)</title>', dom)[1])
