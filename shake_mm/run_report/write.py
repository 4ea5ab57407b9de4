"""Writes the report of a run, or of several that are compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import atomic
from ..outputs import claim, write_text
from .curves import curves_of
from .figures import Chapter, Figure, Missing, Part
from .members import members_of
from .page import page_of, png
from .runs import read

IMAGES = 300
"""How many pictures members are asked of, where nothing else is said."""
NO_SHARES = Missing(
    'Share of each term in the gradient',
    'None were logged: GradientShareHook, of configs/_base_/distill.py, measures one step of an epoch, or of as many '
    'epochs as have 100 steps.',
)


def write_report(
    work_dirs: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    baseline: float | None = None,
    base: dict[str, Any] | None = None,
    images: int = IMAGES,
    best: bool = False,
    device: str = 'cpu',
    trust: bool = False,
    overwrite: bool = False,
) -> tuple[Path, int]:
    """Read the folders of runs, and write one page with its pictures; nothing of the runs is touched.

    Args:
        work_dirs (sequence): The folders.
        out (str | Path, optional): Where to write. Defaults to ``report`` in the first of them.
        baseline (float, optional): Accuracy of the student without teachers, drawn as a line.
        base (dict, optional): Settings by dotted key, to compare those of the runs with.
        images (int): At most how many pictures of the validation set the members are asked of; 0 loads no weights.
        best (bool): Whether the best checkpoints are loaded, not the last ones. Defaults to False.
        device (str): Where the networks run. Defaults to ``'cpu'``.
        trust (bool): Whether modules and configs that the runs' configs name are run. Defaults to False.
        overwrite (bool): Whether files that no tool of ours wrote may be replaced. Defaults to False.

    Returns:
        tuple[Path, int]: The page, and how many figures are on it.

    Raises:
        UsageError: If a folder holds no run, or something else is in the way.
    """
    runs = [read(folder) for folder in work_dirs]
    page = Path(out or Path(work_dirs[0]) / 'report') / 'report.html'
    claim(page, '--out', overwrite)
    logged = Chapter('What was logged', 'Each table has the first, best and last value of every curve.')
    curves = curves_of(runs, baseline)
    parts: list[Part] = [logged, *curves]
    distilled = any(key.startswith('student.') for run in runs for row in run.scalars.train for key in row)
    if distilled and not any(figure.name == 'shares' for figure in curves):
        parts.append(NO_SHARES)
    parts += members_of(runs, images, best, device, trust) if images > 0 else []
    figures = {part.name: part for part in parts if isinstance(part, Figure)}
    for name in figures:
        claim(page.with_name(f'{name}.png'), '--out', overwrite)
    page.parent.mkdir(parents=True, exist_ok=True)
    contents = {name: png(figure) for name, figure in figures.items()}
    for name, content in contents.items():
        atomic.write(page.with_name(f'{name}.png'), content, 'the report is not complete')
    write_text(page, page_of(runs, parts, contents, base))
    return page, len(figures)
