"""Find a method and its weights within a budget of time: ``python tools/tune.py CONFIG --budget 2h``.

Starts from a distillation config of KD or SHAKE. The config as it is, the student alone, and as many settings of
method, temperature, weight and shadow as the budget has room for are trained for a ninth of the epochs on its whole
schedule, the best third of them for a third, and the best of those to the end. What they are compared by is the
config's own validation: report the result on other pictures.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..errors import UsageError
from ..grid.halving import affordable, best, drawn, number_kept, rounds_of
from ..grid.runs import TRAIN, sigterm_interrupts
from ..grid.trials import GIVEN, PLAIN, Search, Trial
from ..locks import locked
from . import common
from .parsers import parse_tune as parse_args

UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}


def seconds_of(budget: str) -> float:
    """Seconds of a time such as ``'90m'`` or ``'1.5h'``.

    Raises:
        UsageError: If it is none.
    """
    match = re.fullmatch(r'(\d+(?:\.\d+)?)([smhd])', budget)
    if match is None:
        raise UsageError(f'--budget {budget} is no time: write 90s, 30m, 2h or 1d.')
    return float(match[1]) * UNITS[match[2]]


def tune(args: argparse.Namespace, console: Console, train: Sequence[str] = TRAIN) -> None:
    """Run the command with the parsed options.

    Args:
        args (Namespace): See :func:`.parsers.parse_tune`.
        console (Console): Is told of every training.
        train (sequence of str): What trains a config.

    Raises:
        UsageError: If the config is none that can be searched from, or the folder holds another search.
    """
    budget = seconds_of(args.budget)
    folder = Path(args.work_dir or Path('work_dirs') / f'tune_{Path(args.config).stem}')
    cfg = common.load_config(args.config, args.cfg_options)
    with locked(folder, 'a search'), sigterm_interrupts():
        search = Search(cfg, folder, args, train)
        try:
            halve(search, budget, console)
        finally:  # also of a search that is stopped
            if search.results:
                console.print(search.table(), soft_wrap=True)
                console.print(f'Best config so far: {search.write_best()}', soft_wrap=True)


def halve(search: Search, budget: float, console: Console) -> None:
    """Train round by round, what the search has no result of yet, until the time is over.

    The time of earlier calls counts. The config as it is and the student alone stay in every round.
    """
    rounds, kept = rounds_of(search.epochs), [GIVEN, PLAIN]

    def run(names: Sequence[str], epochs: int) -> bool:
        for name in names:
            if search.value(name, epochs) is None:
                if search.spent >= budget:
                    console.print(f'The budget is spent: {name} was not trained for {epochs} epochs, nor what follows.')
                    return False
                started = time.monotonic()
                value = search.measure(Trial(name, epochs))
                took = time.monotonic() - started
                console.print(f'{name}, {epochs} epochs: {value:.4f} ({took:.0f} s)', highlight=False)
        return True

    if not run(kept, rounds[0]):
        return
    others = [name for name in search.settings if name not in kept]
    if search.number is None:
        # What two short trainings took tells how many settings there is time for, beside those that always stay.
        pace = search.spent / (len(kept) * rounds[0])
        left = (budget - search.spent) / pace - len(kept) * sum(rounds[1:])
        search.begin(affordable(left, rounds, len(others)))
    names = drawn(others, search.number or 1, search.seed)
    for i, epochs in enumerate(rounds):
        if not run([*kept, *names] if i else names, epochs):
            return
        values = {name: value for name in names if (value := search.value(name, epochs)) is not None}
        names = best(values, number_kept(len(names)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return common.run(lambda args: tune(args, Console()), parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
