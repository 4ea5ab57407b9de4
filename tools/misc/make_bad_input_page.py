"""Try every bad input of the tests and document the messages: ``python tools/misc/make_bad_input_page.py``."""

import argparse
import importlib
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'bad_inputs.md'
HEADER = '| category | case | what the user sees | exit status | verdict |\n|---|---|---|---|---|'


def try_all() -> list[tuple[Any, str, int, str]]:
    """Try all cases in this process and return each with its message, exit status and verdict."""
    sys.path.insert(0, str(ROOT))  # the tests are no installed package
    table = importlib.import_module('tests.bad_inputs.cases')
    trial = importlib.import_module('tests.bad_inputs.case')
    rows = []
    for case in track(table.CASES, 'bad inputs'):
        with tempfile.TemporaryDirectory() as folder:
            outcome = trial.try_in_process(case, Path(folder))
        sentence = ' '.join(outcome.errors).replace(Path(sys.argv[0]).name, f'{case.tool}.py')
        rows.append((case, _without_paths(sentence, folder), outcome.status, outcome.verdict(case)))
    return rows


def page(rows: Sequence[tuple[Any, str, int, str]]) -> str:
    """Format the outcomes as a table, with the counts above it."""
    passed = sum(verdict == 'pass' for *_, verdict in rows)
    counts = Counter(case.category for case, *_ in rows)
    lines = [
        f'| {case.category} | {case.name} | {sentence.replace("|", chr(92) + "|")} | {status} | {verdict} |'
        for case, sentence, status, verdict in rows
    ]
    intro = (
        f'Written by `python tools/misc/make_bad_input_page.py`: **{len(rows)} malformed inputs, {passed} told as they '
        f'should be ({passed / len(rows):.0%})**. By category: '
        f'{", ".join(f"{name} {count}" for name, count in counts.items())}.\n\n'
        'Each goes through the `main` of a tool. To pass, the exit status must not be 0, no optimizer step be taken, '
        'no checkpoint be written, every file that was there before (an earlier checkpoint and config, the inputs) be '
        'unchanged, and one sentence must be all that stands on stderr, which names the key or the file and the mend. '
        '`tests/bad_inputs` holds the table and tries it, and one case of each category in a process of its own. With '
        '`--debug` a tool shows the traceback. `…/` stands for the folder of a case.'
    )
    return '\n'.join(['# Bad inputs, and what a user sees', '', intro, '', HEADER, *lines, ''])


def _without_paths(sentence: str, folder: str) -> str:
    """The sentence without folders of this machine."""
    for path in (str(Path(folder).resolve()), folder, str(ROOT)):
        sentence = sentence.replace(f'{path}/', '…/').replace(path, '…')
    return sentence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    parser = argparse.ArgumentParser(description='Try every bad input and write the page')
    parser.parse_args(argv)
    import torch

    torch.set_num_threads(1)
    rows = try_all()
    PAGE.write_text(page(rows), encoding='utf-8')
    failed = [f'{case.category}: {case.name}: {verdict}' for case, _, _, verdict in rows if verdict != 'pass']
    print(f'{len(rows)} bad inputs, {len(failed)} not as they should be', *failed, sep='\n  ')
    return int(bool(failed))


if __name__ == '__main__':
    sys.exit(main())
