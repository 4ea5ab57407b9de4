"""How data are read while a tool runs: JSON, plain YAML and arrays, and pickles where the config trusts them."""

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import yaml
from mmengine.fileio.handlers import PickleHandler

from ..errors import UsageError
from .errors import Refused, damaged
from .plain import MAX_DEPTH, check_plain
from .unpickler import unpickle

KEY = 'trust_pickles'
MAX_MERGED = 1_000_000
MAX_DIGITS = 1000
_trusted = False


class _Loader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's reader of plain values, which comes to an end."""

    _merged = 0

    def flatten_mapping(self, node: Any) -> None:
        """Put what `<<` names into a mapping; mappings that merge each other may grow without end."""
        super().flatten_mapping(node)
        self._merged += len(node.value)
        if self._merged > MAX_MERGED:
            raise damaged('its values unfold without end')

    def construct_scalar(self, node: Any) -> Any:
        """Give the text of a value; a number to the base of 60 is made in a time that grows with its square."""
        if node.tag in ('tag:yaml.org,2002:int', 'tag:yaml.org,2002:float') and len(node.value) > MAX_DIGITS:
            raise damaged('a number of thousands of digits')
        return super().construct_scalar(node)


def trust_pickles(trusted: Any) -> None:
    """Say whether the pickles that a config names may be loaded, which can run any code.

    Args:
        trusted (bool): What stands in the config.

    Raises:
        UsageError: If it is neither True nor False.
    """
    global _trusted
    if not isinstance(trusted, bool):
        raise UsageError(f'{KEY} is {trusted!r}, but it must be True or False.')
    _trusted = trusted


def loader_of_pickles(load: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``PickleHandler.load_from_fileobj`` load only where the config trusts pickles; a UsageError elsewhere."""

    def load_pickle(self: PickleHandler, file: Any, **kwargs: Any) -> Any:
        if not _trusted:
            raise UsageError(_pickled(_name_of(file)))
        return load(self, file, **kwargs)

    return load_pickle


def load_yaml(self: Any, file: Any, **kwargs: Any) -> Any:
    """Stand for ``YamlHandler.load_from_fileobj``, which lets YAML make any Python object.

    Raises:
        UsageError: If it holds anything but plain values.
    """
    text = file.read()
    try:
        _check_depth(text)
        return check_plain(yaml.load(text, Loader=_Loader))
    except Exception as error:  # whatever a forged tag brings the parser to
        reason = error.reason if isinstance(error, Refused) else ' '.join(str(error).split()) or type(error).__name__
        raise UsageError(
            f'{_name_of(file)} cannot be read as plain YAML ({reason}): write it with text, numbers, lists and '
            'mappings only.'
        ) from None


def _check_depth(text: str | bytes) -> None:
    """Refuse YAML that is nested deeply, on which libyaml's reader ends the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise damaged('it is nested too deeply')


def loader_of_arrays(load: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``numpy.load`` read arrays of objects, which are pickles, only where the config trusts them."""

    def load_array(file: Any, *args: Any, **kwargs: Any) -> Any:
        if _trusted:
            return load(file, *args, **kwargs)
        names = ('mmap_mode', 'allow_pickle')
        kwargs.update(zip(names, args))
        asked, kwargs['allow_pickle'] = kwargs.get('allow_pickle', False), False
        try:
            return load(file, **kwargs)
        except ValueError as error:
            if asked and 'allow_pickle' in str(error):
                raise UsageError(_pickled(_name_of(file))) from None
            raise

    return load_array


class TrustedPickles:
    """Stands for the module ``pickle`` where mmseg reads pictures that are pickles.

    Args:
        module (module): What mmseg uses without us.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def loads(self, content: bytes, **kwargs: Any) -> Any:
        """As the module's, where the config trusts pickles.

        Raises:
            UsageError: If it does not.
        """
        if not _trusted:
            raise UsageError(_pickled('a picture of decode_backend pickle'))
        return self._module.loads(content, **kwargs)


class PlainPickles:
    """Stands for the module ``pickle`` where mmpretrain reads CIFAR: its files are pickles of numbers and text."""

    @staticmethod
    def loads(content: bytes, **kwargs: Any) -> Any:
        """As :func:`pickle.loads`.

        Raises:
            UsageError: If they hold anything else.
        """
        try:
            return unpickle(bytes(content))
        except (Refused, ValueError) as error:
            reason = error if isinstance(error, Refused) else 'is damaged: download it again'
            raise UsageError(f'a file of CIFAR {reason}.') from None


def _pickled(name: str) -> str:
    return (
        f'{name} is a pickle, which can run any code when it is loaded: convert it to JSON, or set {KEY}=True in the '
        'config if you trust whoever made it.'
    )


def _name_of(file: Any) -> str:
    """The name of a file: mmengine hands on its content alone, so the functions that called are asked."""
    if isinstance(file, str | os.PathLike):
        return os.fspath(file)
    name = getattr(file, 'name', None)
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        place = frame.f_globals.get('__name__'), frame.f_code.co_name
        if place == ('mmengine.fileio.io', 'load'):
            name = frame.f_locals.get('file')
        elif place == ('mmengine.config.config', '_file2dict'):  # which loads a copy
            return str(frame.f_locals.get('filename'))
        frame = frame.f_back
    return name if isinstance(name, str) else 'a file'
