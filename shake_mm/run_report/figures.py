"""What a report is made of: pictures with their tables, sentences where there is nothing to show, and how both look."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure as Drawing

COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000', '#8C8C00')
"""After Okabe and Ito, whom color-blind readers can follow; lines also differ in their dashes."""
DASHES = ('-', '--', '-.', ':')
MARKERS = ('o', 's', '^', 'D', 'v', 'P')
GRAY = '#666666'
GAP = 0.062
"""Between two names, in heights of a plot of :data:`HEIGHT`."""
WIDTH, HEIGHT = 7.6, 3.9
"""Of a plot, in inches; a page sets the table of a picture that is wider below it."""
FONT = 9


class Figure(NamedTuple):
    """A picture and its table.

    Args:
        name (str): Of its file.
        title (str): Above it.
        alt (str): What it shows, in words, for who cannot see it.
        drawing (Drawing): Matplotlib's.
        heads (tuple): Heads of the table.
        rows (list): Its rows, as texts.
        about (str): What to know to read it; may be empty.
    """

    name: str
    title: str
    alt: str
    drawing: Drawing
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    about: str = ''


class Missing(NamedTuple):
    """What stands in a picture's place.

    Args:
        title (str): The picture's.
        reason (str): Why it is not there, in one sentence.
    """

    title: str
    reason: str


class Chapter(NamedTuple):
    """A heading over the pictures that follow.

    Args:
        title (str): Its text.
        about (str): What they have in common.
    """

    title: str
    about: str


Part = Figure | Missing | Chapter


def sheet(rows: int = 1, columns: int = 1, width: float = WIDTH, height: float = HEIGHT, **options: Any) -> Any:
    """A drawing and its axes, as a grid of shape (rows, columns).

    Args:
        rows (int): How many. Defaults to 1.
        columns (int): How many. Defaults to 1.
        width (float): In inches.
        height (float): In inches.
        **options (Any): Of :meth:`matplotlib.figure.Figure.subplots`.
    """
    drawing = Drawing(figsize=(width, height), layout='constrained')
    return drawing, drawing.subplots(rows, columns, squeeze=False, **options)


def tidy(axes: Any) -> None:
    """Draw faint lines behind what is plotted, and no frame at the right and above."""
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)


def name_ends(axes: Any, ends: Mapping[str, tuple[float, str]], gap: float = GAP) -> None:
    """Write curves' names at their ends, pushed apart where they would overlap.

    Args:
        axes (Axes): Where the curves are.
        ends (dict): By name, the last value and the color.
        gap (float): Between two names, in heights of the plot.
    """
    to_axes = axes.transLimits if axes.get_yscale() == 'linear' else axes.transScale + axes.transLimits
    heights = {name: float(to_axes.transform((1, value))[1]) for name, (value, _) in ends.items()}
    wanted = {name: min(max(height, 0.0), 1.0) for name, height in heights.items()}
    order = sorted(wanted, key=wanted.__getitem__)
    for name, place in zip(order, _apart([wanted[name] for name in order], gap)):
        axes.annotate(
            name,
            (1.01, place),
            xycoords='axes fraction',
            color=ends[name][1],
            va='center',
            fontsize=FONT,
            annotation_clip=False,
        )


def _apart(wanted: Sequence[float], gap: float) -> list[float]:
    """Rising places, near the wanted ones and ``gap`` apart; those that do not fit go on below the plot."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + gap) if places else place)
    limit = 1.0
    for i in range(len(places) - 1, -1, -1):  # back into the plot from above
        places[i] = min(places[i], limit)
        limit = places[i] - gap
    return places


def legend_columns(labels: Sequence[str], width: float = WIDTH) -> int:
    """In how many columns a legend fits into a picture.

    Args:
        labels (sequence of str): Its entries.
        width (float): The picture's, in inches.
    """
    wide = [0.07 * len(label) + 0.45 for label in labels]
    return len(labels) if sum(wide) <= width else max(1, int(width // max(wide)))


def where_differs(title: str) -> str:
    """The title of a picture of what a student says where it differs from its teacher."""
    return f'Where {"the student" if title == "student" else title} differs most'


def sentence(count: int, one: str, many: str | None = None) -> str:
    """A number and its noun: ``'1 run'``, ``'3 runs'``."""
    return f'{count:,} {one if count == 1 else many or one + "s"}'
