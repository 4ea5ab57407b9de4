"""The page of a report, in one file: pictures and style are in it."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .figures import WIDTH, Chapter, Figure, Missing, Part
from .runs import Run, differences

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 90rem; margin: 0 auto }
body { padding: 1rem } h1, h2, h3 { line-height: 1.25 } h2 { border-bottom: 2px solid #1a1a1a; margin-top: 3rem }
img { max-width: 100%; height: auto } .wide { overflow-x: auto } p { max-width: 60rem }
table { border-collapse: collapse; font-size: .9rem } th, td { padding: .2rem .8rem .2rem 0; text-align: left }
th { vertical-align: bottom } tr { border-bottom: 1px solid #ddd } td { font-variant-numeric: tabular-nums }
code { overflow-wrap: anywhere }
@media (min-width: 70rem) {
  .beside { display: grid; grid-template-columns: minmax(0, 11fr) minmax(0, 8fr); gap: 1.5rem; align-items: start }
}
"""
COLUMNS = 7
"""A table of more stands below its picture."""
FOLDED = 15
"""Longer tables of settings open by a click."""
MAIN = ('model.type', 'model.tau', 'model.lam', 'train_cfg.max_epochs', 'train_dataloader.batch_size')


def png(figure: Figure) -> bytes:
    """A figure as a PNG image, whose metadata say that we wrote it."""
    content = io.BytesIO()
    figure.drawing.savefig(content, format='png', dpi=130, metadata={'Software': 'Written by shake_mm'})
    return content.getvalue()


def page_of(
    runs: Sequence[Run], parts: Sequence[Part], images: Mapping[str, bytes], base: dict[str, Any] | None = None
) -> str:
    """The page.

    Args:
        runs (sequence of Run): What it is about.
        parts (sequence of Part): What is on it, in its order.
        images (dict): PNG images by the figures' names.
        base (dict, optional): Settings to compare those of the runs with.
    """
    title = escape(f'Report of {", ".join(run.name for run in runs)}')
    body = [f'<h1>{title}</h1>', _settings(runs, base), *(_part(part, images) for part in parts)]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    note = '<!-- Written by `python -m shake_mm report`, which overwrites this page. -->'
    head = f'<head>{head}<style>{STYLE}</style></head>'
    return f'<!doctype html>\n{note}\n<html lang="en">{head}<body>{"".join(body)}</body></html>\n'


def _part(part: Part, images: Mapping[str, bytes]) -> str:
    if isinstance(part, Chapter):
        return f'<h2>{escape(part.title)}</h2><p>{escape(part.about)}</p>'
    if isinstance(part, Missing):
        return f'<h3>{escape(part.title)}</h3><p>{escape(part.reason[:1].upper() + part.reason[1:])}</p>'
    data = base64.b64encode(images[part.name]).decode()
    about = f'<p>{escape(part.about)}</p>' if part.about else ''
    image = f'<img alt="{escape(part.alt)}" src="data:image/png;base64,{data}">'
    narrow = part.drawing.get_figwidth() <= 1.3 * WIDTH and len(part.heads) <= COLUMNS
    beside = 'beside' if narrow else 'below'
    return f'<h3>{escape(part.title)}</h3>{about}<div class="{beside}">{image}{_table(part.heads, part.rows)}</div>'


def _settings(runs: Sequence[Run], base: dict[str, Any] | None) -> str:
    names = [run.name for run in runs]
    if base is None and len(runs) == 1:
        config = runs[0].config
        keys = [*MAIN, *(key for key in config if key.startswith(('optim_wrapper.', 'model.terms.', 'randomness.')))]
        rows = [(key, repr(config[key])) for key in dict.fromkeys(keys) if key in config]
        return '<h2>Settings</h2>' + _table(('setting', 'value'), rows, code=True)
    configs = ([] if base is None else [base]) + [run.config for run in runs]
    heads = ('setting', *(['base'] if base is not None else []), *names)
    differing = [(key, *values) for key, values in differences(configs)]
    table = _table(heads, differing, code=True) if differing else '<p>None.</p>'
    if len(differing) > FOLDED:
        table = f'<details><summary>{len(differing)} settings</summary>{table}</details>'
    return f'<h2>Settings that differ</h2>{table}'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], code: bool = False) -> str:
    def cell(text: str) -> str:
        return f'<td><code>{escape(text)}</code></td>' if code else f'<td>{escape(text)}</td>'

    head = ''.join(f'<th>{escape(name)}</th>' for name in heads)
    body = ''.join(f'<tr>{"".join(map(cell, row))}</tr>' for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
