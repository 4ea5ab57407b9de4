"""What the pages hold: blocks of code, and commands in these and in sentences, as a shell reads them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    *(ROOT / 'docs').rglob('*.md'),
    *ROOT.glob('configs/*/README.md'),
]
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in FILES if not {'_build', 'generated'} & {*path.relative_to(ROOT).parts}
)
"""Every page but the changelog, which is of the past, and those that the site makes of pages and notebooks."""
FENCE = re.compile(r'^( *)```([^\n]*)\n(.*?)^\1```$', re.M | re.S)
SPAN = re.compile(r'`([^`\n]+ [^`\n]+)`')
STUBBED = ('python', 'python3.11', 'pip', 'mim', 'git', 'make', 'srun', 'cp', 'tensorboard', 'mlflow', 'wandb')
"""The programs that a page calls. What a call would be is noted, and nothing runs."""
REAL = ('bash', 'dirname', 'sed')
STARTS = re.compile(rf'(?:({"|".join(STUBBED)}|tools/[\w/]+\.(?:py|sh)) )')
NOTE = '#!/bin/sh\nprintf "%s\\037" "${0##*/}" "$@" >> "$NOTES"; printf "\\036" >> "$NOTES"\n'


class Block(NamedTuple):
    """A block of code: its language, its text, and the file that it stands for (``name.py:`` above it)."""

    language: str
    text: str
    file: str


def text_of(page: str) -> str:
    """The text of a page."""
    return (ROOT / page).read_text(encoding='utf-8')


def blocks(page: str) -> list[Block]:
    """The blocks of a page, in their order."""
    text, found = text_of(page), []
    for match in FENCE.finditer(text):
        named = re.search(r'`([\w./]+)`:\n\n$', text[: match.start()])
        found.append(Block(match[2].strip(), match[3], named[1] if named else ''))
    return found


def python_of(page: str) -> list[str]:
    """The blocks of Python of a page."""
    return [block.text for block in blocks(page) if block.language == 'python']


def shell_of(page: str) -> list[str]:
    """The blocks of a page that a shell reads."""
    found = [block for block in blocks(page) if block.language == 'bash' or STARTS.match(block.text)]
    return [block.text for block in found]


def spans_of(page: str) -> list[str]:
    """The commands in sentences and tables of a page, each once."""
    spans = dict.fromkeys(SPAN.findall(FENCE.sub('', text_of(page))))
    found = [span for span in spans if STARTS.match(re.sub(r'^([A-Z_]+=\S+ )+', '', span))]
    return [f'python {span}' if re.match(r'tools/\S+\.py', span) else span for span in found]


def calls(scripts: list[str], folder: Path) -> list[list[str]]:
    """Let bash read scripts, each for itself, and return the words of every call that they make.

    Args:
        scripts (list[str]): As pages show them.
        folder (Path): An empty one, which becomes a checkout in looks.
    """
    programs = folder / 'programs'
    programs.mkdir()
    for name in STUBBED:
        (programs / name).write_text(NOTE)
        (programs / name).chmod(0o755)
    for name in REAL:
        (programs / name).symlink_to(shutil.which(name))
    for place in (folder, folder / 'shake_mm'):
        (place / 'env/bin').mkdir(parents=True)
        (place / 'env/bin/activate').touch()
        (place / 'my_mmrazor_config.py').touch()
        (place / 'tools').symlink_to(ROOT / 'tools')
    own = dict(PATH=str(programs), NOTES=str(folder / 'notes'), SHAKE_MM=str(ROOT), PORT='29871')
    script = ''.join(f'(\n{text}\n)\n' for text in scripts)
    for shown, here in (('<this repository>', 'URL'), ('10.0.0.1', '127.0.0.1'), ('/path/to/shake_mm', str(ROOT))):
        script = script.replace(shown, here)
    command = [shutil.which('bash'), '-euo', 'pipefail', '-c', script]
    result = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, f'{script}\n{result.stderr}'
    notes = (folder / 'notes').read_text(encoding='utf-8') if (folder / 'notes').exists() else ''
    return [note.split('\x1f')[:-1] for note in notes.split('\x1e')[:-1]]
