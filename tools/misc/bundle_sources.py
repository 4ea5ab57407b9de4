"""Bundle the C++ sources of mmcv's operators, so that a compiler reads torch's headers ten times and not 77 times.

    python tools/misc/bundle_sources.py SOURCE [--bundles 10]

SOURCE is mmcv's unpacked source folder. Every operator stays: each source is kept beside the bundle that includes it,
under the ending ``.inc``. Sources that define the same name, as the three kinds of RoI align do, come into different
bundles. Only what a build for the CPU compiles is touched.
"""

import argparse
import re
from dataclasses import dataclass, field
from pathlib import Path

FOLDERS = ('mmcv/ops/csrc/pytorch', 'mmcv/ops/csrc/pytorch/cpu')
PREFIX = 'bundle_'
DEFINITION = re.compile(r'^[A-Za-z_][\w:<>,&*\s]*?\b(\w+)\s*\([^;{}()]*\)\s*\{', re.MULTILINE)
TYPE = re.compile(r'^(?:struct|class)\s+(\w+)\s*(?:\{|:)', re.MULTILINE)
MACRO = re.compile(r'^#define\s+(\w+)', re.MULTILINE)
OPENS_NAMESPACE = re.compile(r'^using namespace', re.MULTILINE)


@dataclass
class Bundle:
    """Sources that become one translation unit."""

    sources: list[Path] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    size: int = 0

    def add(self, source: Path, names: set[str]) -> None:
        """Take a source in, with the names that it defines."""
        self.sources.append(source)
        self.names |= names
        self.size += source.stat().st_size


def defined(text: str) -> set[str]:
    """Names that a source defines at its top level: functions, types and macros."""
    return {name for pattern in (DEFINITION, TYPE, MACRO) for name in pattern.findall(text)}


def distribute(sources: list[Path], number: int) -> list[Bundle]:
    """Spread sources over bundles of about the same size, in none of which two define the same name."""
    bundles = [Bundle() for _ in range(number)]
    for source in sorted(sources, key=lambda source: (-source.stat().st_size, source.name)):
        names = defined(source.read_text(encoding='utf-8'))
        free = [bundle for bundle in bundles if not bundle.names & names]
        if not free:
            bundles.append(Bundle())
            free = bundles[-1:]
        min(free, key=lambda bundle: bundle.size).add(source, names)
    return [bundle for bundle in bundles if bundle.sources]


def text_of(bundle: Bundle) -> str:
    """The bundle's own file: a source's macros end with it, and those that open a namespace to all come last."""
    texts = {source: source.read_text(encoding='utf-8') for source in bundle.sources}
    lines = []
    for source in sorted(texts, key=lambda source: (bool(OPENS_NAMESPACE.search(texts[source])), source.name)):
        lines.append(f'#include "{source.with_suffix(".inc").name}"')
        lines += [f'#undef {name}' for name in dict.fromkeys(MACRO.findall(texts[source]))]
    return '\n'.join(lines) + '\n'


def bundle_folder(folder: Path, number: int) -> int:
    """Bundle the sources of one folder; nothing happens where this has been done.

    Returns:
        int: How many files there are to compile.
    """
    if any(folder.glob('*.inc')):
        return len(list(folder.glob('*.cpp')))
    bundles = distribute(list(folder.glob('*.cpp')), number)
    texts = [text_of(bundle) for bundle in bundles]
    for index, (bundle, text) in enumerate(zip(bundles, texts)):
        for source in bundle.sources:
            source.rename(source.with_suffix('.inc'))
        (folder / f'{PREFIX}{folder.name}_{index}.cpp').write_text(text, encoding='utf-8')
    return len(bundles)


def main() -> None:
    """Bundle a source folder and print how many files remain to be compiled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help="mmcv's unpacked source folder")
    parser.add_argument('--bundles', type=int, default=5, help='how many for each of the two folders (default: 5)')
    args = parser.parse_args()
    folders = [args.source / name for name in FOLDERS]
    missing = [str(folder) for folder in folders if not folder.is_dir()]
    if missing:
        parser.error(f'{missing[0]} does not exist: SOURCE has to be the unpacked sources of mmcv')
    print(sum(bundle_folder(folder, args.bundles) for folder in folders))


if __name__ == '__main__':
    main()
