"""Compare measured ratios with the committed ones: ``python -m benchmarks.gate NEW.json``.

``NEW.json`` is what ``python -m benchmarks.compare_steps … --out`` wrote. A ratio fell where it is worse than the
committed one by more than both scatter: the distance from a median to the end of its range that faces the other. Each
is named, and the exit status is 1. By hand, on a machine as quiet as can be, and never in the tests: processors differ.
``--update`` writes the new ratios in the place of the old ones.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from shake_mm import cli
from shake_mm.errors import UsageError
from shake_mm.reports import write_record

COMMITTED = Path(__file__).with_name('ratios.json')
FACTS = ('batch_size', 'image_size', 'threads', 'clock')
"""What two measurements must have in common."""


class Verdict(NamedTuple):
    """A ratio then and now.

    Args:
        name (str): Such as ``'shake/kd'``.
        before (float): The committed median.
        after (float): The new one.
        noise (float): How far they may be apart.
    """

    name: str
    before: float
    after: float
    noise: float

    @property
    def fell(self) -> bool:
        """Whether it is worse by more than the noise; larger is worse."""
        return self.after - self.before > self.noise


def compare(before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]) -> list[Verdict]:
    """Hold new ratios against old ones.

    Args:
        before (dict): ``median``, ``low`` and ``high`` by name.
        after (dict): Likewise.

    Returns:
        list[Verdict]: Of the names that both have, the worst first.
    """
    found = []
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        noise = (old['high'] - old['median']) + (new['median'] - new['low'])
        found.append(Verdict(name, old['median'], new['median'], noise))
    return sorted(found, key=lambda verdict: verdict.noise - (verdict.after - verdict.before))


def read(path: str | Path) -> dict[str, Any]:
    """Read a measurement, or the committed ones.

    Raises:
        UsageError: If it is none.
    """
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UsageError(f"'{path}' cannot be read as JSON ({error}): give a file of --out.") from None


def gate(args: argparse.Namespace) -> None:
    """Compare, print, and update if that is asked.

    Raises:
        UsageError: If the file has no ratios, or they were measured otherwise.
    """
    measured = read(args.measured)
    if not isinstance(measured.get('ratios'), dict) or not isinstance(measured.get('setting'), dict):
        raise UsageError(f"'{args.measured}' holds no ratios: give a file of benchmarks.compare_steps --out.")
    committed = read(args.committed) if Path(args.committed).exists() else {}
    entry = committed.get(args.name)
    if args.update:
        committed.pop('about', None)
        committed[args.name] = {key: measured[key] for key in ('setting', 'ratios')}
        write_record(args.committed, committed, 'benchmarks.gate')
        return
    if entry is None:
        known = ', '.join(sorted(committed.keys() - {'about'})) or 'none'
        raise UsageError(f"--name: nothing is committed under '{args.name}' (there: {known}): correct it, or --update.")
    for fact in FACTS:
        one, other = entry['setting'].get(fact), measured['setting'].get(fact)
        if one != other:
            raise UsageError(f'{fact} is {other} and the committed ratios are of {one}: measure with the same.')
    verdicts = compare(entry['ratios'], measured['ratios'])
    show(verdicts, Console())
    if fallen := [verdict.name for verdict in verdicts if verdict.fell]:
        raise UsageError(f'fell by more than their noise: {", ".join(fallen)}. Measure again, then find out why.')


def show(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print the ratios then and now."""
    table = Table(title='Ratios: committed and measured')
    for name in ('ratio', 'committed', 'measured', 'noise', ''):
        table.add_column(name, justify='left' if name == 'ratio' else 'right')
    for verdict in verdicts:
        numbers = (f'{value:.3f}' for value in (verdict.before, verdict.after, verdict.noise))
        table.add_row(verdict.name, *numbers, 'fell' if verdict.fell else '')
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    parser = argparse.ArgumentParser(description='Compare measured ratios with the committed ones')
    parser.add_argument('measured', help='file of benchmarks.compare_steps --out')
    parser.add_argument('--name', required=True, help='of the measurement, such as resnet110_resnet20')
    parser.add_argument('--committed', default=str(COMMITTED), help='file of the committed ratios')
    parser.add_argument('--update', action='store_true', help='commit to the measured ones')
    cli.add_common_arguments(parser)
    return cli.run(gate, parser.parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
