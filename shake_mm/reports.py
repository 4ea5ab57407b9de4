"""What ``analysis`` and ``benchmarks`` write: pages, figures and records, each of which says who wrote it."""

import argparse
import io
import json
from pathlib import Path
from typing import Any

from . import atomic
from .errors import UsageError
from .outputs import claim, write_text

KINDS = {'.png': 'Software', '.svg': 'Creator', '.pdf': 'Creator'}
"""Endings of images, and where in them matplotlib notes who made them."""
LOST = 'nothing was written'


def add_output_arguments(parser: argparse.ArgumentParser, out: str, plot: str | None = None) -> None:
    """Add ``--out``, ``--plot`` and ``--overwrite``.

    Args:
        parser (ArgumentParser): The tool's.
        out (str): What ``--out`` does.
        plot (str, optional): What ``--plot`` does; without it there is no such option.
    """
    parser.add_argument('--out', help=out)
    if plot is not None:
        parser.add_argument('--plot', help=plot)
    names = '--out' if plot is None else '--out and --plot'
    parser.add_argument('--overwrite', action='store_true', help=f'let {names} replace files that no tool wrote')


def claim_outputs(args: argparse.Namespace, *inputs: str | Path | None) -> None:
    """Refuse, before anything is computed, to write where ``--out`` and ``--plot`` must not.

    Args:
        args (Namespace): With what :func:`add_output_arguments` defines.
        *inputs (str | Path | None): Files that the tool reads.

    Raises:
        UsageError: If a file exists and no tool of ours wrote it, if the two are one file, or the image is of a kind
            that is not drawn.
    """
    out, plot = args.out, getattr(args, 'plot', None)
    if plot is not None and Path(plot).suffix.lower() not in KINDS:
        raise UsageError(f'--plot: {plot} must end in {" or ".join(KINDS)}: name such an image.')
    if out is not None and plot is not None and Path(out).absolute() == Path(plot).absolute():
        raise UsageError(f'--plot: {plot} is the file of --out too: name another one.')
    for name, path in (('--out', out), ('--plot', plot)):
        if path is not None:
            claim(path, name, args.overwrite, inputs)


def write_page(path: str | Path, text: str, tool: str) -> None:
    """Write a Markdown page under a line, which is not shown, on the tool that writes it.

    Args:
        path (str | Path): The page.
        text (str): Its content.
        tool (str): The module, such as ``'analysis.build_table'``.
    """
    write_text(path, f'<!-- Written by `python -m {tool}`, which overwrites this page. -->\n\n{text}')


def write_record(path: str | Path, content: dict[str, Any], tool: str) -> None:
    """Write figures as JSON, whose first entry says which tool wrote them.

    Args:
        path (str | Path): The file.
        content (dict): Plain values.
        tool (str): The module, such as ``'benchmarks.compare_steps'``.
    """
    write_text(path, json.dumps({'about': f'Written by `python -m {tool}`', **content}, indent=2) + '\n')


def write_figure(path: str | Path, figure: Any) -> None:
    """Write a drawing, complete or not at all, whose metadata say that we wrote it.

    Args:
        path (str | Path): The image, of a kind in :data:`KINDS`.
        figure (matplotlib.figure.Figure): The drawing.
    """
    kind, content = Path(path).suffix.lower(), io.BytesIO()
    figure.savefig(content, format=kind[1:], metadata={KINDS[kind]: 'Written by shake_mm'})
    atomic.write(path, content.getvalue(), LOST)
