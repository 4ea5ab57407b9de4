"""mmcv's sources in bundles: each once, no name twice in a bundle, and macros that end with their source."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / 'tools/misc/bundle_sources.py'
SOURCES = {
    'roi_align.cpp': 'template <class T>\nstruct PreCalc { T p; };\nint roi_align() { return PreCalc<int>{1}.p; }',
    'rotated.cpp': 'struct PreCalc {\n  int pos;\n};\nint rotated(int a,\n            int b) {\n  return a + b;\n}',
    'psamask.cpp': '#define min(a, b) (((a) < (b)) ? (a) : (b))\nint psamask() {\n  return min(1, 2);\n}',
    'contour.cpp': '#include <algorithm>\nusing namespace std;\nint contour() { return min(1, 2); }',
    'nms.cpp': '#include <algorithm>\nint nms() { return std::min(1, 2); }\nint roi_align();',
}


@pytest.fixture
def source(tmp_path):
    for folder in ('mmcv/ops/csrc/pytorch', 'mmcv/ops/csrc/pytorch/cpu'):
        (tmp_path / folder).mkdir(parents=True)
        for name, text in SOURCES.items():
            (tmp_path / folder / name).write_text(text)
    return tmp_path


def bundle(source, number=1):
    command = [sys.executable, str(TOOL), str(source), '--bundles', str(number)]
    return subprocess.run(command, capture_output=True, text=True)


def test_each_source_is_included_once_and_clashes_are_kept_apart(source):
    result = bundle(source)
    assert result.returncode == 0 and result.stdout == '4\n', result.stderr
    folder = source / 'mmcv/ops/csrc/pytorch'
    texts = [path.read_text() for path in folder.glob('*.cpp')]
    included = [re.findall('#include "(.*)"', text) for text in texts]
    assert sorted(name for names in included for name in names) == sorted(name[:-3] + 'inc' for name in SOURCES)
    assert not any({'roi_align.inc', 'rotated.inc'} <= set(names) for names in included)
    assert all((folder / name).read_text() == SOURCES[name[:-3] + 'cpp'] for names in included for name in names)


def test_macros_end_with_their_source_and_opened_namespaces_come_last(source):
    bundle(source)
    texts = [path.read_text() for path in (source / 'mmcv/ops/csrc/pytorch').glob('*.cpp')]
    assert any('#include "psamask.inc"\n#undef min\n' in text for text in texts)
    (text,) = (text for text in texts if 'contour' in text)
    assert text.count('#include') > 1 and text.endswith('#include "contour.inc"\n')


@pytest.mark.skipif(not shutil.which('g++'), reason='there is no C++ compiler')
@pytest.mark.parametrize('number', [1, 3])
def test_bundles_compile(source, number):
    bundle(source, number)
    files = [str(path) for path in source.rglob('*.cpp')]
    result = subprocess.run(['g++', '-fsyntax-only', *files], capture_output=True, text=True)
    assert len(files) == 2 * max(number, 2) and result.returncode == 0, result.stderr


def test_a_second_run_changes_nothing(source):
    bundle(source)
    before = {path: path.read_text() for path in source.rglob('*.*')}
    assert bundle(source, 4).stdout == '4\n' and {path: path.read_text() for path in source.rglob('*.*')} == before


def test_another_folder_is_refused(tmp_path):
    result = bundle(tmp_path)
    assert result.returncode == 2 and 'SOURCE has to be the unpacked sources of mmcv' in result.stderr
