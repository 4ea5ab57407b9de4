"""What the site takes from the repository: the methods' pages, the notebooks, and links that leave this folder.

``configs/NAME/README.md`` is the page ``generated/methods/NAME``, ``notebooks/NAME.ipynb`` the page
``generated/notebooks/NAME``; ``CHANGELOG.md`` and ``CONTRIBUTING.md`` are pages as well, all written when the build
begins. A link to one of them leads to its page; one to code or to a folder becomes its path. Links that leave the
site are listed, and never fetched.
"""

import json
import os
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / 'generated'
LINK = re.compile(r'(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)')


def page_of(path: Path) -> Path | None:
    """The page of the site that a file of the repository is, if it is one.

    Args:
        path (Path): Absolute, as a link names it; it may lead nowhere.
    """
    if path.parent == DOCS / 'notebooks' and path.suffix == '.ipynb':
        return GENERATED / 'notebooks' / f'{path.stem}.md'
    if path.is_relative_to(DOCS) and path.suffix:
        return path
    if path.name == 'README.md' and path.parent.parent == ROOT / 'configs':
        return GENERATED / 'methods' / f'{path.parent.name}.md'
    if path.parent == ROOT and path.name in ('CHANGELOG.md', 'CONTRIBUTING.md'):
        return GENERATED / path.name.lower()
    return DOCS / 'index.md' if path == ROOT / 'README.md' else None


def on_site(text: str, source: Path, page: Path) -> str:
    """A file's text with its links as the site needs them.

    Args:
        text (str): Markdown.
        source (Path): The file that it stands in, to which its links are relative.
        page (Path): The page that it becomes.
    """

    def link(match: re.Match) -> str:
        target = (source.parent / match['target']).resolve()
        found = page_of(target)
        if found is not None:
            return f'[{match["text"]}]({relative(found, page.parent)}{match["anchor"] or ""})'
        return match['text'] if match['text'].startswith('`') else f'{match["text"]} (`{relative(target, ROOT)}`)'

    return LINK.sub(link, text)


def notebook_text(path: Path) -> str:
    """A notebook as a page: its texts and its code, under a link to the file, without outputs.

    Args:
        path (Path): The notebook.
    """
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    texts = [''.join(cell['source']) for cell in cells]
    parts = [text if cell['cell_type'] == 'markdown' else f'```python\n{text}\n```' for cell, text in zip(cells, texts)]
    head = f'(The notebook itself is `docs/notebooks/{path.name}` of a checkout.)'
    return '\n\n'.join([parts[0], head, *parts[1:]]) + '\n'


def relative(path: Path, folder: Path) -> str:
    """A path from a folder, with slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()


def write_pages(app: object = None) -> list[Path]:
    """Write the pages of files that lie elsewhere, and delete those of files that are gone.

    Returns:
        list[Path]: The pages.
    """
    sources = [*sorted((ROOT / 'configs').glob('*/README.md')), *sorted((DOCS / 'notebooks').glob('*.ipynb'))]
    sources += [ROOT / 'CHANGELOG.md', ROOT / 'CONTRIBUTING.md']
    pages = {page: source for source in sources if (page := page_of(source)) is not None}
    for path in set(GENERATED.rglob('*.md')) - {*pages}:
        path.unlink()
    for page, source in pages.items():
        own = notebook_text(source) if source.suffix == '.ipynb' else source.read_text(encoding='utf-8')
        text = on_site(own, source, page)
        page.parent.mkdir(parents=True, exist_ok=True)
        if not page.is_file() or page.read_text(encoding='utf-8') != text:  # what is unchanged is not built again
            page.write_text(text, encoding='utf-8')
    return [*pages]


def rewrite(app: object, docname: str, source: list[str]) -> None:
    """Sphinx's ``source-read``: the links of a page that stands in this folder."""
    page = DOCS / f'{docname}.md'
    if page.is_file() and not page.is_relative_to(GENERATED):
        source[0] = on_site(source[0], page, page)


def list_external(app: object, exception: Exception | None) -> None:
    """Sphinx's ``build-finished``: write ``external_links.txt``, each address with the pages that lead there."""
    pages: dict[str, list[str]] = {}
    for name in [] if exception else sorted(app.env.found_docs):  # type: ignore[attr-defined]
        for node in app.env.get_doctree(name).findall():  # type: ignore[attr-defined]
            address = getattr(node, 'attributes', {}).get('refuri', '')
            if address.startswith(('http://', 'https://')) and name not in pages.setdefault(address, []):
                pages[address].append(name)
    lines = [f'{address} {" ".join(names)}\n' for address, names in sorted(pages.items())]
    Path(app.outdir, 'external_links.txt').write_text(''.join(lines), encoding='utf-8')  # type: ignore[attr-defined]


def setup(app: object) -> dict:
    """Sphinx's entry."""
    app.connect('builder-inited', write_pages)  # type: ignore[attr-defined]
    app.connect('source-read', rewrite)  # type: ignore[attr-defined]
    app.connect('build-finished', list_external)  # type: ignore[attr-defined]
    return dict(parallel_read_safe=True)
