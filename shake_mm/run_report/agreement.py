"""Where members differ from their teacher: how often, on which classes, and on which pictures most."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .answers import Answer, Asked
from .figures import COLORS, FONT, Figure, Missing, Part, legend_columns, sentence, sheet, where_differs

BOTH, OURS, THEIRS = 'both right', 'it alone right', 'teacher alone right'
ALIKE, APART, MISSED = 'both wrong, alike', 'both wrong, otherwise', 'missed by both'
SHADES = {BOTH: COLORS[2], OURS: COLORS[4], THEIRS: COLORS[1], ALIKE: '#CCCCCC', APART: '#999999', MISSED: '#CCCCCC'}
CLASSES, PAIRS, PICTURES, PANELS = 10, 8, 8, 3


def agreement(asked: Asked) -> list[Part]:
    """What is said of students and proxies beside their teacher."""
    compared = [answer for answer in asked.of('student', 'proxy') if answer.teacher is not None]
    if not compared:
        return [Missing('Beside the teacher', 'There is no teacher: nobody to compare the student with.')]
    counts = {answer.title: _count(answer, asked) for answer in compared}
    extra = {answer.title: f'{answer.gap.mean():.3f}' for answer in compared}
    figures: list[Part] = [shares(counts, 'pictures', ('gap in nats', extra))]
    students = [answer for answer in compared if answer.member == 'student']
    return [*figures, _confusion(students[:PANELS], asked), _worst(students[0], asked)]


def _count(answer: Answer, asked: Asked) -> dict[str, float]:
    assert answer.teacher is not None
    theirs = answer.teacher.argmax(1)
    right, taught, same = answer.says == asked.labels, theirs == asked.labels, answer.says == theirs
    parts = {
        BOTH: right & taught,
        OURS: right & ~taught,
        THEIRS: ~right & taught,
        ALIKE: ~right & ~taught & same,
        APART: ~right & ~taught & ~same,
    }
    return {name: int(part.sum()) for name, part in parts.items()}


def shares(
    counts: Mapping[str, Mapping[str, float]], what: str, more: tuple[str, Mapping[str, str]] | None = None
) -> Figure:
    """A bar for each member, divided by who is right, it or its teacher.

    Args:
        counts (dict): By member and part, how many.
        what (str): Of what, in plural.
        more (tuple, optional): Head and cells of one more column of the table.
    """
    drawing, ((axes,),) = sheet(height=1.2 + 0.45 * len(counts))
    names = list(
        dict.fromkeys(part for own in counts.values() for part in own if any(c[part] for c in counts.values()))
    )
    for row, own in enumerate(counts.values()):
        whole, left = sum(own.values()) or 1, 0.0
        for name in names:
            width = 100 * own[name] / whole
            axes.barh(row, width, 0.7, left, color=SHADES[name], edgecolor='white', label=name if not row else None)
            if width >= 4:
                axes.text(left + width / 2, row, f'{width:.0f}', ha='center', va='center', fontsize=FONT)
            left += width
    axes.set_yticks(range(len(counts)), list(counts))
    axes.set_ylim(len(counts) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel(f'% of the {what}')
    axes.spines[['top', 'right', 'left']].set_visible(False)
    drawing.legend(
        ncols=legend_columns(names),
        frameon=False,
        fontsize=FONT,
        loc='outside upper left',
        columnspacing=1,
        handlelength=1,
    )
    rows = [
        (title, *(f'{own[name]:,}' for name in names), *([more[1][title]] if more else []))
        for title, own in counts.items()
    ]
    told = '; '.join(
        f'{title}: {", ".join(f"{own[name]:,} {name}" for name in names)}' for title, own in counts.items()
    )
    heads = ('member', *names, *([more[0]] if more else []))
    return Figure(
        'agreement', 'Beside the teacher', f'Members beside their teacher, in {what}: {told}.', drawing, heads, rows
    )


def _confusion(students: Sequence[Answer], asked: Asked) -> Figure | Missing:
    """How often the student says one class where the teacher says another, for the classes with most of that."""
    title = 'What the student says where it differs'
    pairs = [Counter(_differing(answer)) for answer in students]
    if not any(pairs):
        return Missing(title, f'Student and teacher say the same of all {len(asked.labels):,} pictures.')
    shown = [(answer, own) for answer, own in zip(students, pairs) if own]
    drawing, (panels,) = sheet(1, len(shown), width=max(5.2 * len(shown), 6.4), height=5.2)
    rows = []
    for panel, (answer, own) in zip(panels, shown):
        busy: Counter[int] = Counter()
        for pair, number in own.items():
            busy.update(dict.fromkeys(pair, number))
        kept = sorted(place for place, _ in busy.most_common(CLASSES))
        table = np.array([[own.get((theirs, mine), 0) for mine in kept] for theirs in kept])
        _draw_table(panel, table, [asked.classes[place] for place in kept])
        panel.set_xlabel(f'{answer.title} says')
        for (theirs, mine), number in own.most_common(-(-PAIRS // len(shown))):
            here = (answer.says == mine) & (answer.teacher.argmax(1) == theirs)  # type: ignore[union-attr]
            right = [int((asked.labels[here] == place).sum()) for place in (theirs, mine)]
            names = asked.classes[theirs], asked.classes[mine]
            rows.append((answer.title, *names, *map(str, (number, *right))))
    panels[0].set_ylabel('teacher says')
    told = '; '.join(f'teacher {row[1]}, {row[0]} {row[2]}: {sentence(int(row[3]), "time")}' for row in rows[:PAIRS])
    totals = ', '.join(f'{answer.title} {sum(own.values()):,}' for answer, own in shown)
    return Figure(
        'confusion',
        title,
        f'Pairs of classes that student and teacher differ in most. {told}.',
        drawing,
        ('student', 'teacher says', 'student says', 'times', 'teacher right', 'student right'),
        rows,
        f"Answers of {len(asked.labels):,} that differ from the teacher's: {totals}. Drawn are the classes with most.",
    )


def _differing(answer: Answer) -> list[tuple[int, int]]:
    assert answer.teacher is not None
    theirs, mine = answer.teacher.argmax(1), answer.says
    return [(int(a), int(b)) for a, b in zip(theirs, mine) if a != b]


def _draw_table(panel: Any, table: np.ndarray, names: Sequence[str]) -> None:
    panel.imshow(table, cmap='Blues', vmin=0, vmax=max(table.max(), 1) * 1.1)
    for (i, j), number in np.ndenumerate(table):
        text = '·' if i == j else (str(number) if number else '')
        dark = number > 0.6 * table.max()
        panel.text(j, i, text, ha='center', va='center', fontsize=FONT, color='white' if dark else 'black')
    short = [name if len(name) <= 14 else f'{name[:13]}…' for name in names]
    turned = max(map(len, short)) > 3
    panel.set_xticks(
        range(len(names)), short, fontsize=FONT, rotation=45 if turned else 0, ha='right' if turned else 'center'
    )
    panel.set_yticks(range(len(names)), short, fontsize=FONT)


def worst_pictures(answer: Answer, number: int) -> list[int]:
    """Positions of the pictures in which a student differs most from its teacher: another class first, then the gap."""
    assert answer.teacher is not None
    order = answer.gap + 1e6 * (answer.says != answer.teacher.argmax(1))
    return torch.argsort(order, descending=True, stable=True)[:number].tolist()


def _worst(answer: Answer, asked: Asked) -> Figure:
    places = worst_pictures(answer, PICTURES)
    columns = min(4, len(places))
    lines = -(-len(places) // columns)
    drawing, grid = sheet(lines, columns, height=2.65 * lines)
    rows = []
    assert answer.teacher is not None
    voices = {'teacher': answer.teacher.softmax(1), 'student': answer.logits.softmax(1)}
    for panel in grid.flat[len(places) :]:
        panel.set_axis_off()
    for panel, place in zip(grid.flat, places):
        panel.imshow(asked.picture(place), cmap='gray', vmin=0, vmax=1, interpolation='nearest')
        panel.set_xticks([])
        panel.set_yticks([])
        said = [(asked.classes[p[place].argmax()], float(p[place].max())) for p in voices.values()]
        truth = asked.classes[asked.labels[place]]
        heading = [f'{name[0].upper()}: {_short(one)} ({sure:.2f})' for name, (one, sure) in zip(voices, said)]
        panel.set_title('\n'.join([f'truth: {_short(truth)}', *heading]), fontsize=FONT, loc='left')
        cells = [f'{one} ({sure:.2f})' for one, sure in said]
        rows.append((str(asked.positions[place]), truth, *cells, f'{answer.gap[place]:.2f}'))
    told = '; '.join(f'truth {row[1]}, teacher {row[2]}, student {row[3]}' for row in rows)
    return Figure(
        'worst',
        where_differs(answer.title),
        f'Pictures in which student and teacher differ most: {told}.',
        drawing,
        ('picture', 'truth', 'teacher', answer.title, 'gap in nats'),
        rows,
        'T is the teacher, S the student, each with its probability. First where they say another class, and of those '
        'the largest gap KL(teacher ‖ student).',
    )


def _short(name: str) -> str:
    return name if len(name) <= 18 else f'{name[:17]}…'
