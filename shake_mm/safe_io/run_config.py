"""The config that a run put into its work directory, read as data: nobody should run what lies among results."""

import ast
import math
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .errors import Refused
from .plain import check_plain

MAX_BYTES = 2**20
_NAMES = {'inf': math.inf, 'nan': math.nan}


class _NotPlain(ValueError):
    """Holds what no value is written as."""


def read_run_config(path: str | Path) -> dict[str, Any]:
    """Read a config that mmengine wrote: names, each with a value of plain parts.

    Args:
        path (str | Path): A file ``*.py`` as ``Config.dump`` writes it.

    Returns:
        dict[str, Any]: The values by name.

    Raises:
        UsageError: If it holds anything else, such as an import or a call: it was not written by a run.
    """
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise _NotPlain(f'more than {MAX_BYTES} bytes')
        module = ast.parse(Path(path).read_bytes())
        return check_plain(dict(_assignment(statement) for statement in module.body))
    except OSError as error:
        raise UsageError(f'{path} cannot be read ({error.strerror}): correct the path.') from None
    except (_NotPlain, SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        reason = error.reason if isinstance(error, Refused) else str(error) or type(error).__name__
        reason = f'line {error.lineno}' if isinstance(error, SyntaxError) else reason
        raise UsageError(
            f'{path} is no config as a run writes it ({reason}), and it is not run as code: take it out of the '
            'results, or train again.'
        ) from None


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name):
            return target.id, _value(statement.value)
    raise _NotPlain(f'line {statement.lineno} gives no name a value')


def _value(node: ast.expr) -> Any:
    """The value of an expression; the only call is that of ``dict``."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    if isinstance(node, ast.List):
        return [_value(part) for part in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(part) for part in node.elts)
    if isinstance(node, ast.Set):
        return {_value(part) for part in node.elts}
    if isinstance(node, ast.Dict):
        keys = [key for key in node.keys if key is not None]
        if len(keys) == len(node.values):  # the key of `**other` is None
            return {_value(key): _value(part) for key, part in zip(keys, node.values, strict=True)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        number = _value(node.operand)
        if isinstance(number, int | float | complex):
            return -number
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == 'dict' and len(node.args) <= 1 and all(keyword.arg for keyword in node.keywords):
            first = _value(node.args[0]) if node.args else {}
            if isinstance(first, dict):  # of keys that are no names
                return {**first, **{keyword.arg: _value(keyword.value) for keyword in node.keywords}}
        if node.func.id == 'set' and not node.args and not node.keywords:
            return set()
    raise _NotPlain(f'line {node.lineno} holds more than values')
