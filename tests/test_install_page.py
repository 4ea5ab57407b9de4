"""The page on installation: its extras, commands and paths exist, and its Python runs."""

import re
import shlex
from pathlib import Path

import pytest

from shake_mm import __main__
from shake_mm.cli import parsers

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs/install.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```bash\n(.*?)```', PAGE, re.S)


def extras() -> set[str]:
    """Names that setup.py gives extras."""
    source = (ROOT / 'setup.py').read_text(encoding='utf-8')
    body = source.split('def extras()')[1].split('\n\n\n')[0]
    return set(re.findall(r"^        '([\w-]+)':", body, re.M)) | {'all', 'mim'}


def test_extras():
    table = PAGE.split('| extra |')[1].split('\n\n')[0]
    named = {name for row in re.findall(r'^\| (`.+?) \|', table, re.M) for name in re.findall(r'`([\w-]+)`', row)}
    assert named == extras() - {'mim'}
    used = {name for names in re.findall(r'\[([\w,-]+)\]\'', PAGE) for name in names.split(',')}
    assert used and used <= named


def test_commands():
    rows = re.findall(r'^\| `([\w-]+) .*?` \| `([\w-]+)` \| `(.*?)` \| `(mim .*?)` \|', PAGE, re.M)
    assert {row[0] for row in rows} == set(__main__.COMMANDS)
    for name, program, script, by_mim in rows:
        module = __main__.COMMANDS[name][0]
        assert program == f'shake-{name}' and Path(script).stem == module and (ROOT / script).is_file()
        assert by_mim.startswith((f'mim {name} shake_mm', f'mim run shake_mm {module}'))


def test_lines_that_start_us_are_understood():
    lines = [line for block in BLOCKS for line in block.splitlines() if line.startswith('python -m shake_mm ')]
    assert len(lines) == 3
    for line in lines:
        name, *options = shlex.split(line)[3:]
        if name == '--help':
            with pytest.raises(SystemExit) as info:
                __main__.main(['--help'])
            assert info.value.code == 0
        else:
            assert getattr(parsers, f'parse_{__main__.COMMANDS[name][0]}')(options).save_path == 'merged.py'


def test_the_program_runs():
    (program,) = re.findall(r'```python\n(.*?)```', PAGE, re.S)
    scope = {}
    exec(program, scope)
    assert scope['cfg'].model.type == 'shake_mm.KD' and scope['model'].head.num_classes == 100


def test_files_that_it_names_exist():
    for path in set(re.findall(r'`((?:tools|configs|docker|requirements|shake_mm)/[\w./-]*)`', PAGE)):
        assert (ROOT / path).exists(), path
    for path in re.findall(r'\]\(([\w./-]+\.md)\)', PAGE):
        assert (ROOT / 'docs' / path).is_file(), path
