"""The page of the zoos: what became of each network, a row each, and how many of them work."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'zoo.md'
TITLES = {'cls': "mmpretrain's classifiers", 'det': "mmdet's detectors"}


class Found(NamedTuple):
    """What became of a network.

    Args:
        config (str): Its config, below the zoo's folder.
        kd (str): ``works``, ``refused: …``, ``fault: …``, or ``not run: …`` where the plain network does not run.
        shake (str): Likewise; ``works with …`` where it is the mend that a refusal names.
        export (str): Likewise.
    """

    config: str
    kd: str
    shake: str = '–'
    export: str = '–'

    @property
    def works(self) -> bool:
        """Whether KD, SHAKE and the export all work."""
        return all(cell.startswith('works') for cell in self[1:])


HEAD = """# The zoos, tried

`python tools/misc/sweep_zoo.py --task cls --write` (or `det`) writes this page: of every folder of configs the smallest
network, and of its others those whose head no network before had. One without a row was not tried yet. Each, with
random weights, fewer channels and fewer blocks, is its own teacher in one training step of KD and SHAKE by the README's
lines. `works` means: KD of the equal networks is 0 (1e-5), SHAKE's terms are finite and its proxy has layers of its
own, and the exported student answers as the distilled one. Where KD is refused, features are distilled as the sentence
says: "(So it works.)" if their loss is 0 as well; and each method that it names makes a step, whose terms are finite if
that works. `not run`: the plain network makes no step here.
"""


def write_page(task: str, found: Sequence[Found], page: Path = PAGE) -> None:
    """Replace the rows of these configs in the page, and keep the others."""
    rows: dict[str, dict[str, Found]] = {key: {} for key in TITLES}
    current = task
    for line in page.read_text(encoding='utf-8').splitlines() if page.exists() else ():
        current = next((key for key, title in TITLES.items() if line == f'## {title}'), current)
        if line.startswith('| `'):
            entry = Found(*(cell.strip() for cell in line.strip('|').split(' | ')))
            rows[current][entry.config.strip('`')] = entry
    for entry in found:
        rows[task][entry.config] = Found(f'`{entry.config}`', *(cell.replace('|', '/') for cell in entry[1:]))
    text = [HEAD]
    for key, title in TITLES.items():
        text += [f'## {title}', '', summary(list(rows[key].values())), '']
        text += ['| config | KD | SHAKE | export |', '|---|---|---|---|']
        text += [f'| {" | ".join(entry)} |' for _, entry in sorted(rows[key].items())] + ['']
    page.write_text('\n'.join(text).rstrip() + '\n', encoding='utf-8')


def summary(found: Sequence[Found]) -> str:
    """How many of the networks work, in a sentence, and what became of each step."""
    run = [entry for entry in found if not entry.kd.startswith('not run')]
    works = sum(entry.works for entry in run)
    words = [f'{len(found)} configs, of which {len(run)} run as they are; all of it works with {works} of these.']
    for column in ('kd', 'shake', 'export'):
        cells = [getattr(entry, column) for entry in run]
        counts = {kind: sum(cell.startswith(kind) for cell in cells) for kind in ('works', 'refused', 'fault')}
        name = column.upper() if column != 'export' else column
        words.append(f'{name}: {", ".join(f"{number} {kind}" for kind, number in counts.items())}.')
    return ' '.join(words)
