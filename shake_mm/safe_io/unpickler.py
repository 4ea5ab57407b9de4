"""An interpreter of pickles that yields plain values: it imports nothing and calls nothing that a file names.

A name in a pickle is looked up in the tables of :mod:`.values`; whatever is not there ends the reading.
``pickletools`` of the standard library takes the pickle apart, and knows how long each part may be.
"""

import io
import pickletools
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from .errors import code, damaged
from .plain import check_plain, is_key
from .values import Kept, Name, build, call, lookup

_MARK = object()
MAX_STEPS = 10_000_000
"""Each may make an empty set, of 216 bytes."""


class Bounded:
    """A file of which no more is asked than it holds, as room is made for what is asked.

    Args:
        file (BinaryIO): The file.
        end (int): Position behind its last byte.
    """

    def __init__(self, file: BinaryIO, end: int) -> None:
        self._file, self._end = file, end

    @property
    def left(self) -> int:
        """How many bytes there are from here on."""
        return self._end - self._file.tell()

    def read(self, size: int) -> bytes:
        """As a file's; a file that ends before is refused."""
        if size > self.left:
            raise damaged('it ends early')
        return self._file.read(size)

    def readline(self) -> bytes:
        """As a file's, which may be the rest of it."""
        return self._file.readline()


def unpickle(source: bytes | Bounded, storage: Callable[[Any], Any] | None = None) -> Any:
    """The plain value of a pickle.

    Args:
        source (bytes | Bounded): The pickle; a file is read to its end mark.
        storage (callable, optional): Gives the storage of a persistent id, as ``torch.save`` writes them.

    Raises:
        Refused: If it holds anything else.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    machine = Machine(storage, 4 * (len(source) if isinstance(source, bytes) else source.left) + 100_000)
    # The stub asks for a whole file, of which `genops` uses `read`, `readline` and, where it exists, `tell`.
    opcodes = pickletools.genops(file)  # type: ignore[arg-type]
    for number, (opcode, argument, _) in enumerate(opcodes):
        step = _STEPS.get(opcode.name)
        if step is None:
            raise code(f'opcode {opcode.name}')
        if number > MAX_STEPS:
            raise damaged(f'more than {MAX_STEPS} values')
        step(machine, argument)
    return check_plain(machine.result(), _foreign)


def _foreign(value: Any) -> Exception:
    return code(value.text) if isinstance(value, Name) else damaged('a part that is no value by itself')


class Machine:
    """The stack and the memo of one pickle.

    Args:
        storage (callable, optional): Gives the storage of a persistent id.
        budget (int): How many parts may be copied into values. A pickle may name the same text a million times.
    """

    def __init__(self, storage: Callable[[Any], Any] | None, budget: int) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.kept: dict[int, Kept] = {}  # objects whose state may follow
        self.storage = storage
        self._budget = budget

    def result(self) -> Any:
        """The value that is left on the stack at the end."""
        if len(self.stack) != 1:
            raise damaged('its values are not one')
        return self.stack[0]

    def push(self, value: Any) -> None:
        """Put a value on the stack, above the others."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the last value, which must not be a mark."""
        if not self.stack or self.stack[-1] is _MARK:
            raise damaged('a value is missing')
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """Take the values since the last mark."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise damaged('a mark is missing')

    def top(self, kind: type) -> Any:
        """The last value, which stays and must be of this type or one that is filled like it."""
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise damaged(f'a {kind.__name__} is missing')
        return self.stack[-1]

    def make(self, name: Any, arguments: Any) -> None:
        """Put what a known function or class gives on the stack."""
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise code('a call of a value')
        self.spend(arguments)
        value, kept = call(name, arguments)
        if kept is not None:
            self.kept[id(value)] = kept
        self.push(value)

    def spend(self, parts: Any) -> None:
        """Count what is copied, and refuse too much of it."""
        self._budget -= sum(len(part) for part in parts if isinstance(part, _SIZED)) if isinstance(parts, _SIZED) else 0
        if self._budget < 0:
            raise damaged('its values unfold without end')

    def items(self, values: list[Any]) -> None:
        """Put keys and values into the dictionary on the stack."""
        target = self.top(dict)
        if len(values) % 2:
            raise damaged('a key without a value')
        for key, value in zip(_keys(values[::2]), values[1::2], strict=True):
            target[key] = value


_SIZED = (str, bytes, list, tuple, dict, set, frozenset)


def _keys(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if not is_key(value):
            raise damaged('a key that is neither text nor a number')
        yield value


def _get(machine: Machine, place: int) -> None:
    if place not in machine.memo:
        raise damaged('a value that it repeats is missing')
    machine.push(machine.memo[place])


def _put(machine: Machine, place: int) -> None:
    if not machine.stack:
        raise damaged('a value is missing')
    machine.memo[place] = machine.stack[-1]


def _tuple(machine: Machine, number: int) -> None:
    parts = [machine.pop() for _ in range(number)]
    machine.push(tuple(reversed(parts)))


def _pair(machine: Machine, argument: None) -> None:
    value, key = machine.pop(), machine.pop()
    machine.items([key, value])


def _pairs(machine: Machine, argument: None) -> None:
    values = machine.pop_to_mark()
    machine.items(values)


def _dict(machine: Machine, argument: None) -> None:
    values = machine.pop_to_mark()
    machine.push({})
    machine.items(values)


def _named(machine: Machine, argument: str) -> None:
    module, _, name = argument.partition(' ')
    machine.push(lookup(module, name))


def _named_by_stack(machine: Machine, argument: None) -> None:
    name, module = machine.pop(), machine.pop()
    if type(name) is not str or type(module) is not str:
        raise damaged('a name that is no text')
    machine.push(lookup(module, name))


def _reduce(machine: Machine, argument: None) -> None:
    arguments, name = machine.pop(), machine.pop()
    machine.make(name, arguments)


def _inst(machine: Machine, argument: str) -> None:
    module, _, name = argument.partition(' ')
    machine.make(lookup(module, name), tuple(machine.pop_to_mark()))


def _build(machine: Machine, argument: None) -> None:
    state, target = machine.pop(), machine.top(object)
    kept = machine.kept.pop(id(target), None)
    if kept is None:
        raise code(f'a state of {getattr(target, "text", type(target).__name__)}')
    machine.spend(state)
    build(kept, state)


def _persistent(machine: Machine, argument: None) -> None:
    if machine.storage is None:
        raise code('a persistent id')
    machine.push(machine.storage(machine.pop()))


_SIMPLE: dict[str, Callable[[Machine, Any], Any]] = dict.fromkeys(
    (
        'INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES '
        'BINBYTES8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT BINFLOAT'
    ).split(),
    Machine.push,
)
_STEPS: dict[str, Callable[[Machine, Any], Any]] = {
    **_SIMPLE,
    **dict.fromkeys(('GET', 'BINGET', 'LONG_BINGET'), _get),
    **dict.fromkeys(('PUT', 'BINPUT', 'LONG_BINPUT'), _put),
    'MEMOIZE': lambda m, _: _put(m, len(m.memo)),
    **dict.fromkeys(('PROTO', 'FRAME', 'STOP'), lambda m, _: None),
    'NONE': lambda m, _: m.push(None),
    'NEWTRUE': lambda m, _: m.push(True),
    'NEWFALSE': lambda m, _: m.push(False),
    'BYTEARRAY8': lambda m, value: m.push(bytes(value)),
    'MARK': lambda m, _: m.push(_MARK),
    'POP': lambda m, _: m.stack.pop() if m.stack else m.pop(),
    'POP_MARK': lambda m, _: m.pop_to_mark(),
    'EMPTY_LIST': lambda m, _: m.push([]),
    'EMPTY_DICT': lambda m, _: m.push({}),
    'EMPTY_SET': lambda m, _: m.push(set()),
    'EMPTY_TUPLE': lambda m, _: m.push(()),
    'LIST': lambda m, _: m.push(m.pop_to_mark()),
    'TUPLE': lambda m, _: m.push(tuple(m.pop_to_mark())),
    'TUPLE1': lambda m, _: _tuple(m, 1),
    'TUPLE2': lambda m, _: _tuple(m, 2),
    'TUPLE3': lambda m, _: _tuple(m, 3),
    'APPEND': lambda m, _: (value := m.pop(), m.top(list).append(value)),
    'APPENDS': lambda m, _: (values := m.pop_to_mark(), m.top(list).extend(values)),
    'ADDITEMS': lambda m, _: (values := m.pop_to_mark(), m.top(set).update(_keys(values))),
    'FROZENSET': lambda m, _: m.push(frozenset(_keys(m.pop_to_mark()))),
    'DICT': _dict,
    'SETITEM': _pair,
    'SETITEMS': _pairs,
    'GLOBAL': _named,
    'STACK_GLOBAL': _named_by_stack,
    'REDUCE': _reduce,
    'NEWOBJ': _reduce,
    'INST': _inst,
    'BUILD': _build,
    'BINPERSID': _persistent,
}
