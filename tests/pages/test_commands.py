"""Every command on every page: bash reads it as it is printed, and the program that it calls reads its command line.

What the programs then do is run by their own tests, on small data (:func:`test_every_program_is_run_by_a_test`): many
commands on the pages take hours, or data that is not here.
"""

import argparse
import importlib
import importlib.util
import re
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from shake_mm.__main__ import COMMANDS
from shake_mm.cli import parsers

from ..test_install_page import extras
from .pages import PAGES, ROOT, blocks, calls, shell_of, spans_of

LANGUAGES = {'python', 'bash', 'text', '', 'bibtex', '{eval-rst}', '{toctree}'}
ELSEWHERE = {
    'git': 'needs a network',
    'cp': "is the system's",
    'mim': 'needs a network; tests/test_mim.py runs it',
    'pip': 'needs a network; tests/test_installed.py runs it',
    'make': 'builds environments, and runs these tests',
    'tensorboard': 'serves until it is stopped; tests/hooks/test_tracker.py reads the files that it shows',
    'mlflow': 'serves until it is stopped; tests/hooks/test_tracker.py reads the files that it shows',
    '-m venv': "is Python's",
    'tools/misc/make_bad_input_page.py': 'tries all bad inputs, as tests/bad_inputs/ does',
    '-m tests.support.stack_table': 'rewrites a page; tests/support/test_stack_table.py runs it',
    'mmpretrain/tools/train.py': "is mmpretrain's; tests/test_foreign_train.py runs it",
    'MMDEPLOY/tools/deploy.py': "is mmdeploy's, which goes with an older torch: the page says that it was not run",
}
"""What is not run to its end here, and why."""
RUN_BY = {
    'analysis.build_study': 'analysis/test_build_study.py',
    'analysis.build_table': 'analysis/test_build_table.py',
    'analysis.evidence': 'analysis/test_evidence.py',
    'analysis.gradients': 'analysis/test_gradients.py',
    'analysis.sweep': 'analysis/test_sweep.py',
    'benchmarks.compare_losses': 'benchmarks/test_compare_losses.py',
    'benchmarks.compare_pipelines': 'benchmarks/test_compare_pipelines.py',
    'benchmarks.compare_steps': 'benchmarks/test_compare_steps.py',
    'benchmarks.compare_teachers': 'benchmarks/test_compare_pipelines.py',
    'benchmarks.gate': 'benchmarks/test_gate.py',
    'benchmarks.gpu': 'benchmarks/test_gpu.py',
    'benchmarks.methods': 'benchmarks/test_methods.py',
    'benchmarks.scale': 'benchmarks/test_scale.py',
    'benchmarks.shared_teacher': 'benchmarks/test_shared_teacher.py',
    'benchmarks.sparse_logits': 'benchmarks/test_sparse_logits.py',
    'benchmarks.start': 'benchmarks/test_start.py',
    'shake_mm': 'tools/test_commands.py',
    'tools/cache_teacher.py': 'cli/test_cache_teacher.py',
    'tools/dataset_prepare.py': 'cli/test_dataset_prepare.py',
    'tools/deploy.py': 'deploy/test_page.py',
    'tools/export_student.py': 'cli/test_other_libraries.py',
    'tools/misc/describe_configs.py': 'safe_io/test_doors.py',
    'tools/misc/from_mmrazor.py': 'tools/test_from_mmrazor.py',
    'tools/misc/sweep_zoo.py': 'tools/test_sweep_zoo.py',
    'tools/model_converters/crd_to_mmpretrain.py': 'tools/test_crd_to_mmpretrain.py',
    'tools/print_config.py': 'tools/test_print_config.py',
    'tools/report.py': 'run_report/test_report.py',
    'tools/run_grid.py': 'cli/test_run_grid.py',
    'tools/taps.py': 'cli/test_taps.py',
    'tools/test.py': 'cli/test_test.py',
    'tools/train.py': 'cli/test_train.py',
    'tools/tune.py': 'cli/test_tune.py',
}
"""The programs that pages call, and a test that runs each of them to its end."""
SHELL, SPANS = ([page for page in PAGES if found(page)] for found in (shell_of, spans_of))
OWN = re.compile(r'(?:^|/)(tools/(?:[a-z_]+/)*[a-z_]+\.py)$')


class Read(Exception):
    """A program has read its command line."""


@pytest.fixture
def reading(monkeypatch):
    """Programs stop when they have read their command line."""
    read = argparse.ArgumentParser.parse_args

    def parse_args(self, args=None, namespace=None):
        raise Read(read(self, args, namespace))

    monkeypatch.setattr(sys, 'path', [str(ROOT / 'tools/misc'), *sys.path])
    monkeypatch.setattr(sys, 'argv', ['program'])
    return lambda: monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)


def program_of(words):
    """Which program of this repository a call runs, as a file or a module, and its arguments, or ``None``."""
    words = ['python', 'tools/print_config.py', *words[2:]] if words[1:2] == ['tools/misc/print_config.py'] else words
    for number, word in enumerate(words):
        if OWN.search(word) and not any(word.endswith(name) for name in ELSEWHERE):
            return OWN.search(word)[1], words[number + 1 :]
    if words[:3] == ['python', '-m', 'shake_mm'] and words[3] in COMMANDS:
        return f'tools/{COMMANDS[words[3]][0]}.py', words[4:]
    if words[:2] == ['python', '-m'] and re.match('(analysis|benchmarks|shake_mm)', words[2]):
        return words[2], [word for word in words[3:] if word != '…'] if words[2] == 'shake_mm' else words[3:]
    return None


@cache
def main_of(program):
    """What a program begins with. Commands of the package read their command line before they are imported."""
    stem = Path(program).stem
    if program.startswith('tools/') and stem in {module for module, _ in COMMANDS.values()}:
        return getattr(parsers, f'parse_{stem}')
    if program.endswith('.py'):
        spec = importlib.util.spec_from_file_location(stem, ROOT / program)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main
    is_package = importlib.util.find_spec(program).submodule_search_locations is not None
    return importlib.import_module(f'{program}.__main__' if is_package else program).main


def understands(program, arguments, reading):
    """Whether a program takes these arguments."""
    main = main_of(program)
    try:
        if main.__module__ != parsers.__name__:  # those do nothing but read
            reading()
        main(arguments)
    except Read:
        return True
    except SystemExit as stop:
        return not stop.code
    return main.__module__ == parsers.__name__


def completed(arguments):
    """A command line in a sentence may leave out what is the user's: as it is, and with that filled in."""
    for count in range(4):
        filled = [[word] if word != '…' else ['1'] * count for word in arguments]
        yield [word.strip('…') for words in filled for word in words] + ['1'] * count * ('…' not in arguments)


def check_files(page, arguments):
    """Files of this repository that a command names are there."""
    for word in arguments:
        if re.match(r'(configs|requirements)/(?!my_)', word):
            assert [*ROOT.glob(word)], (page, word)


def check_packages(page, words):
    """What pip or mim is asked for can be asked for, and what mim runs is there."""
    if words[:3] == ['mim', 'run', 'shake_mm']:
        assert [*(ROOT / 'tools').rglob(f'{words[3]}.py')], (page, words)
    elif words[1] in ('install', 'wheel'):
        for word in words[2:]:
            if word.startswith('.'):
                assert {*re.findall(r'[\w-]+', word)} <= extras(), (page, word)
            elif not word.startswith(('-', 'requirements/', 'wheelhouse')):
                asked = Requirement(word)
                assert asked.name != 'shake_mm' or asked.extras <= extras(), (page, word)


def check_make(page, words):
    """Targets are of the Makefile, and variables, or of the script that builds environments."""
    text = (ROOT / 'Makefile').read_text(encoding='utf-8')
    variables = re.findall(r'\$\((\w+)\)', text)
    variables += re.findall(r'^#   ([A-Z_]+) ', (ROOT / 'tools/setup_env.sh').read_text(encoding='utf-8'), re.M)
    for word in words[1:]:
        name, _, value = word.partition('=')
        assert name in variables if value else re.search(rf'^{name}:', text, re.M), (page, word)


def check_other(page, words):
    """What is no program of this repository is told in :data:`ELSEWHERE`, or it is a file of the page."""
    if words[1:2] == ['-c']:
        compile(words[2], page, 'exec')
    elif words[0].startswith('python') and words[1] != '-m' and '/' not in words[1]:
        assert words[1] in {block.file for block in blocks(page)}, (page, words)
    else:
        told = words[0] if not words[0].startswith('python') else ' '.join(words[1:3]) if words[1] == '-m' else words[1]
        assert any(told.endswith(name) for name in ELSEWHERE), (page, words)


def check(page, words, reading, in_sentence):
    """One call; a sentence may name a program alone."""
    check_files(page, words[1:])
    found = program_of(words)
    if found:
        assert callable(main_of(found[0]))
        lines = completed(found[1]) if in_sentence else [found[1]]
        assert (in_sentence and not found[1]) or any(understands(found[0], line, reading) for line in lines), words
    elif words[0] in ('pip', 'mim'):
        check_packages(page, words)
    elif words[0] == 'make':
        check_make(page, words)
    elif words != ['python', '-m', '…']:
        check_other(page, words)


@cache
def called_by(page, shown):
    """The calls of a page's blocks, or of its sentences."""
    with tempfile.TemporaryDirectory() as folder:
        return calls(shown(page), Path(folder))


def test_no_command_hides_in_another_language():
    found = {(page, block.language) for page in PAGES for block in blocks(page) if block.language not in LANGUAGES}
    assert not found


@pytest.mark.parametrize('page', SHELL)
def test_blocks(page, reading):
    for words in called_by(page, shell_of):
        check(page, words, reading, in_sentence=False)


@pytest.mark.parametrize('page', SPANS)
def test_sentences(page, reading):
    for words in called_by(page, spans_of):
        check(page, words, reading, in_sentence=True)


def test_every_program_is_run_to_its_end_by_a_test():
    found = [program_of(words) for page in SHELL for words in called_by(page, shell_of)]
    found += [program_of(words) for page in SPANS for words in called_by(page, spans_of)]
    assert {program for program, _ in filter(None, found)} == RUN_BY.keys()
    for program, test in RUN_BY.items():
        named = Path(program).stem if program.endswith('.py') else program.rpartition('.')[2]
        text = (ROOT / 'tests' / test).read_text(encoding='utf-8')
        assert re.search(rf'\b{named}\b', text) and re.search(r'\bmain\b|subprocess|try_in_process', text), program
