"""What stands for the names in pickles: for each class or function that plain data need, how its value is made here.

The arguments and states come from the file, so each is checked before anything is made of it.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from .arrays import DType, array, scalar
from .errors import Refused, code, damaged
from .plain import is_key
from .tensors import DTYPES, STORAGES, Storage, refuse_kind, strided

STATISTICS = ('min', 'max', 'current', 'mean')


class Name(NamedTuple):
    """A name that a pickle may use. It is no value: what is returned holds none.

    Args:
        text (str): Module and name.
        dtype (torch.dtype, optional): That of a storage.
    """

    text: str
    dtype: torch.dtype | None = None


class Kept(NamedTuple):
    """An object whose state follows in the pickle.

    Args:
        target (object): The object, kept so that its ``id`` is not given to another.
        build (callable): Called with the target and the state.
    """

    target: Any
    build: Callable[[Any, Any], None]


def lookup(module: str, name: str) -> Any:
    """What stands for a name.

    Raises:
        Refused: If plain data do not need it.
    """
    text = f'{_MODULES.get(module, module)}.{name}'
    if text in _CALLS or text in _INERT:
        return Name(text)
    parent, _, last = text.rpartition('.')
    if parent == 'torch' and last in DTYPES:
        return DTYPES[last]
    if parent in ('torch', 'torch.cuda', 'torch.storage') and last in STORAGES:
        return Name(text, STORAGES[last])
    raise refuse_kind(text) or code(text)


def call(name: Name, arguments: tuple) -> tuple[Any, Kept | None]:
    """The value of a call, and what takes its state if that may follow.

    Args:
        name (Name): What the file calls.
        arguments (tuple): With which arguments.

    Raises:
        Refused: If it is not to be called, or not with these.
    """
    make = _CALLS.get(name.text)
    if make is None:
        raise code(f'a call of {name.text}')
    try:
        value = make(*arguments)
    except Refused:
        raise
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError) as error:
        raise damaged(f'{name.text} with other arguments than it takes') from error
    builder = _BUILDS.get(name.text)
    return value, builder and Kept(value, builder)


def build(kept: Kept, state: Any) -> None:
    """Give an object its state.

    Raises:
        Refused: If it is no state of such an object.
    """
    try:
        kept.build(kept.target, state)
    except Refused:
        raise
    except (TypeError, ValueError, OverflowError, KeyError, AttributeError) as error:
        raise damaged(f'a {type(kept.target).__name__} with a state of another kind') from error


# ------------------------------------------------------------------------------------------------ containers and text
def _pairs(kind: type) -> Callable[..., Any]:
    def make(content: Any = ()) -> Any:
        items = list(content.items()) if isinstance(content, dict) else [tuple(item) for item in content]
        if not all(len(item) == 2 and is_key(item[0]) for item in items):
            raise damaged('a key that is neither text nor a number')
        return kind(dict(items)) if kind is Counter else kind(items)

    return make


def _elements(kind: type) -> Callable[..., Any]:
    def make(content: Any = ()) -> Any:
        if type(content) not in (list, tuple, set, frozenset) or not all(map(is_key, content)):
            raise damaged('a set of other than text and numbers')
        return kind(content)

    return make


def _encode(text: Any, encoding: Any = 'latin1') -> bytes:
    if type(text) is not str or encoding not in ('latin1', 'latin-1'):
        raise code('_codecs.encode')
    return text.encode('latin1')


def _path(*parts: Any) -> str:
    return '/'.join(map(_text, parts))


def _text(text: Any) -> str:
    if type(text) is not str:
        raise damaged('a text that is none')
    return text


def _complex(real: Any, imaginary: Any) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise damaged('a complex number that is none')
    return complex(real, imaginary)


def _fill_ordered(target: OrderedDict, state: Any) -> None:
    """Keep the versions of modules, which torch puts beside a state dict; nothing else."""
    metadata = state.get('_metadata', {})
    vars(target)['_metadata'] = OrderedDict(
        (key, {part: value for part, value in about.items() if type(part) is str and type(value) in (int, bool)})
        for key, about in metadata.items()
        if type(key) is str
    )


def _fill(target: dict, state: Any) -> None:
    if not isinstance(state, dict):
        raise damaged('a state that is no dictionary')
    target.update(state)


# ------------------------------------------------------------------------------------------------ torch
def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> torch.Tensor:
    return _typed(storage, offset, size, stride, None)


def _tensor_of_dtype(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *rest: Any
) -> torch.Tensor:
    if not isinstance(dtype, torch.dtype):
        raise damaged('a tensor without a dtype')
    return _typed(storage, offset, size, stride, dtype)


def _typed(storage: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype | None) -> torch.Tensor:
    if not isinstance(storage, Storage):
        raise damaged('a tensor without a storage')
    return strided(storage, offset, size, stride, dtype or storage.dtype)


def _parameter(data: Any, *rest: Any) -> torch.Tensor:
    if not isinstance(data, torch.Tensor):
        raise damaged('a parameter without a tensor')
    return data


def _of_type(function: Any, kind: Any, arguments: Any, *state: Any) -> torch.Tensor:
    """A tensor with attributes, which are left out."""
    known = isinstance(function, Name) and isinstance(kind, Name) and function.text.startswith('torch._utils._rebuild_')
    if not known or kind.text not in _TENSOR_TYPES:
        raise code(f'a tensor of {getattr(kind, "text", kind)}')
    return call(function, arguments)[0]


def _size(sides: Any = ()) -> torch.Size:
    if type(sides) is not tuple or not all(type(side) is int and 0 <= side < 2**62 for side in sides):
        raise damaged('a shape that is none')
    return torch.Size(sides)


def _device(kind: Any, index: Any = None) -> torch.device:
    return torch.device(_text(kind)) if index is None else torch.device(_text(kind), int(index))


# ------------------------------------------------------------------------------------------------ numpy
def _new_array(kind: Any, shape: Any, letter: Any) -> np.ndarray:
    if not isinstance(kind, Name) or kind.text != 'numpy.ndarray':
        raise code(f'an array of {getattr(kind, "text", kind)}')
    return np.empty(0, np.uint8)


def _fill_array(target: np.ndarray, state: Any) -> None:
    """Give an empty array its values, in place: the pickle may have named it elsewhere."""
    version, shape, dtype, fortran, content = state
    made = array(shape, dtype, content, bool(fortran))
    state = (1, made.shape, made.dtype, bool(fortran), made.tobytes('A'))
    target.__setstate__(state)


# ------------------------------------------------------------------------------------------------ mmengine
def _statistic(where: Any, name: Any) -> Name:
    """Stand for ``getattr``, by which a ``HistoryBuffer`` names its statistics."""
    if not isinstance(where, Name) or not where.text.endswith('.HistoryBuffer') or name not in STATISTICS:
        raise code(f'getattr of {name}' if type(name) is str else 'getattr')
    return Name(f'{where.text}.{name}')


def _fill_history(target: HistoryBuffer, state: Any) -> None:
    log, count, length = state['_log_history'], state['_count_history'], state['max_length']
    plain = all(isinstance(part, np.ndarray) and part.ndim == 1 and part.dtype.kind in 'biuf' for part in (log, count))
    if not plain or len(log) != len(count) or type(length) is not int or length < 1:
        raise damaged('a history that is none')
    target._log_history, target._count_history, target.max_length = log, count, length


def _fill_hub(target: dict, state: Any) -> None:
    target.update({key: state[f'_{key}'] for key in ('log_scalars', 'runtime_info', 'resumed_keys')})


_HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'
_MODULES = {
    '__builtin__': 'builtins',
    'copy_reg': 'copyreg',
    'numpy.core.multiarray': 'numpy._core.multiarray',
    'numpy.core.numeric': 'numpy._core.numeric',
    'torch.nn': 'torch.nn.parameter',
}
"""Former and other names of modules."""
_TENSOR_TYPES = ('torch.Tensor', 'torch.nn.parameter.Parameter', 'torch.nn.parameter.Buffer')
_INERT = {'numpy.ndarray', 'builtins.list', 'builtins.dict', 'builtins.int', *_TENSOR_TYPES} | {
    f'{_HISTORY}.{name}' for name in STATISTICS
}
"""Names that are arguments of calls, and are not called themselves."""
_CALLS: dict[str, Callable[..., Any]] = {
    'collections.OrderedDict': _pairs(OrderedDict),
    'collections.Counter': _pairs(Counter),
    'collections.defaultdict': lambda factory=None, *content: _pairs(dict)(*content),
    'builtins.set': _elements(set),
    'builtins.frozenset': _elements(frozenset),
    'builtins.complex': _complex,
    'builtins.getattr': _statistic,
    'builtins.bytes': lambda: b'',
    '_codecs.encode': _encode,
    'argparse.Namespace': lambda: {},
    'pathlib.PosixPath': _path,
    'pathlib.WindowsPath': _path,
    'pathlib.PurePosixPath': _path,
    'pathlib._local.PosixPath': _path,
    'torch.torch_version.TorchVersion': _text,
    'torch._utils._rebuild_tensor': _tensor,
    'torch._utils._rebuild_tensor_v2': _tensor,
    'torch._utils._rebuild_tensor_v3': _tensor_of_dtype,
    'torch._utils._rebuild_parameter': _parameter,
    'torch._utils._rebuild_parameter_with_state': _parameter,
    'torch._tensor._rebuild_from_type_v2': _of_type,
    'torch.Size': _size,
    'torch.device': _device,
    'numpy.dtype': DType,
    'numpy._core.multiarray._reconstruct': _new_array,
    'numpy._core.multiarray.scalar': scalar,
    'numpy._core.numeric._frombuffer': lambda content, dtype, shape, order: array(shape, dtype, content, order == 'F'),
    _HISTORY: lambda: HistoryBuffer(),
    'mmengine.logging.message_hub.MessageHub': lambda: {},
    'mmengine.config.config.ConfigDict': _pairs(dict),
}
"""How the values of calls are made."""
_BUILDS: dict[str, Callable[[Any, Any], None]] = {
    'collections.OrderedDict': _fill_ordered,
    'argparse.Namespace': _fill,
    'numpy.dtype': lambda target, state: target.build(state),
    'numpy._core.multiarray._reconstruct': _fill_array,
    _HISTORY: _fill_history,
    'mmengine.logging.message_hub.MessageHub': _fill_hub,
    'mmengine.config.config.ConfigDict': _fill,
}
"""How the states of objects are taken."""
