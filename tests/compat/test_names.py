"""Every name of torch and of the OpenMMLab stack that the sources ask for is there, on each stack."""

import ast
import pkgutil
from collections.abc import Iterator

import pytest
from packaging.version import Version

from ..support.stacks import TORCH
from .processes import ROOT

STACK = ('torch', 'numpy', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg')
LATER = {'torch.export.Dim': '2.9'}
"""Names that are asked for beside a version of torch and later ones alone: ONNX by the exporter of ``torch.export``."""
FOLDERS = ('shake_mm', 'tools', 'analysis', 'benchmarks')


def optional(tree: ast.AST) -> set[ast.AST]:
    """What stands in a ``try`` that expects its lack."""
    guarded = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        and {'ImportError', 'AttributeError'}
        & {name.id for h in node.handlers for name in ast.walk(h.type or h) if isinstance(name, ast.Name)}
    )
    return {inner for node in guarded for statement in node.body for inner in ast.walk(statement)}


def names_of(tree: ast.AST) -> Iterator[str]:
    """Names of the stack that a module imports or reaches by a path from what it imports."""
    alias: dict[str, str] = {}
    left_out = optional(tree)
    nodes = [node for node in ast.walk(tree) if node not in left_out]
    for node in nodes:
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.partition('.')[0] in STACK:
                    yield name.name
                    alias[name.asname or name.name.partition('.')[0]] = (
                        name.name if name.asname else name.name.partition('.')[0]
                    )
        elif isinstance(node, ast.ImportFrom) and not node.level and str(node.module).partition('.')[0] in STACK:
            for name in node.names:
                yield f'{node.module}.{name.name}'
                alias[name.asname or name.name] = f'{node.module}.{name.name}'
    for node in nodes:
        path, value = [], node
        while isinstance(value, ast.Attribute):
            path.append(value.attr)
            value = value.value
        if path and isinstance(value, ast.Name) and value.id in alias:
            yield '.'.join([alias[value.id], *reversed(path)])


def is_there(name: str) -> bool:
    """Whether it can be imported, or is an attribute of what can."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_names_are_collected():
    code = """
import torch
import numpy as np
import torch.nn.functional as F
from mmengine.config import Config as Read
try:
    from torch import no_such_thing
except ImportError:
    pass
torch.amp.no_such_thing, np.uint8, F.relu, Read.fromfile
"""
    found = set(names_of(ast.parse(code)))
    assert {
        'torch.amp.no_such_thing',
        'numpy.uint8',
        'torch.nn.functional.relu',
        'mmengine.config.Config.fromfile',
    } <= found
    assert 'torch.no_such_thing' not in found
    assert is_there('mmengine.config.Config.fromfile') and not is_there('torch.amp.no_such_thing')


@pytest.mark.parametrize('folder', FOLDERS)
def test_the_stack_has_every_name(folder):
    wanted: dict[str, set[str]] = {}
    for path in (ROOT / folder).rglob('*.py'):
        if '.mim' not in path.parts:
            for name in names_of(ast.parse(path.read_text(encoding='utf-8'))):
                wanted.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    later = {name for name, version in LATER.items() if Version(version) > TORCH}
    assert wanted and (folder != 'shake_mm' or wanted.keys() >= LATER.keys())
    assert {name: files for name, files in wanted.items() if not is_there(name) and name not in later} == {}
