"""The page of a report, in one file: pictures and style are in it."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import Any

from .figures import Figure
from .runs import Run, differences

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 60rem; margin: 0 auto }
body { padding: 1rem }
img { max-width: 100%; height: auto } .wide { overflow-x: auto }
table { border-collapse: collapse; margin: .5rem 0 2rem } th, td { padding: .2rem .8rem .2rem 0; text-align: left }
tr { border-bottom: 1px solid #ddd } td { font-variant-numeric: tabular-nums } code { overflow-wrap: anywhere }
"""
MAIN = ('model.type', 'model.tau', 'model.lam', 'train_cfg.max_epochs', 'train_dataloader.batch_size')


def png(figure: Figure) -> bytes:
    """A figure as a PNG image, whose metadata say that we wrote it."""
    content = io.BytesIO()
    figure.drawing.savefig(content, format='png', dpi=130, metadata={'Software': 'Written by shake_mm'})
    return content.getvalue()


def page_of(runs: Sequence[Run], pictures: Sequence[tuple[Figure, bytes]], base: dict[str, Any] | None = None) -> str:
    """The page.

    Args:
        runs (sequence of Run): What it is about.
        pictures (sequence of tuple): Figures, each with its image.
        base (dict, optional): Settings to compare those of the runs with.
    """
    title = escape(f'Report of {", ".join(run.name for run in runs)}')
    parts = [f'<h1>{title}</h1>', _settings(runs, base)]
    for figure, image in pictures:
        data = base64.b64encode(image).decode()
        parts.append(
            f'<h2>{escape(figure.title)}</h2><img alt="{escape(figure.alt)}" src="data:image/png;base64,{data}">'
            + _table(
                ('curve', 'first', 'best', 'last'), [(n, *(f'{v:.4g}' for v in rest)) for n, *rest in figure.table]
            )
        )
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    note = '<!-- Written by `python -m shake_mm report`, which overwrites this page. -->'
    head = f'<head>{head}<style>{STYLE}</style></head>'
    return f'<!doctype html>\n{note}\n<html lang="en">{head}<body>{"".join(parts)}</body></html>\n'


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
    return '<h2>Settings that differ</h2>' + (_table(heads, differing, code=True) if differing else '<p>None.</p>')


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], code: bool = False) -> str:
    def cell(text: str) -> str:
        return f'<td><code>{escape(text)}</code></td>' if code else f'<td>{escape(text)}</td>'

    head = ''.join(f'<th>{escape(name)}</th>' for name in heads)
    body = ''.join(f'<tr>{"".join(map(cell, row))}</tr>' for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
