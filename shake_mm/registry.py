"""Registries of shake_mm: children of mmengine's, filled from their locations when they are first asked.

A config names a part of ours as ``shake_mm.Part``, whatever its ``default_scope`` is.
"""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

from .errors import UsageError
from .validation import check_arguments

_MEND = {
    'num_samples': 'set `model.num_samples` to the size of the training set',
    'in_norm': 'tap features that a batch norm makes, such as teacher0.f3.preact',
}


class PartRegistry(Registry):
    """A registry whose packages import some of their parts when one is asked for, see :func:`.imports.lazy_parts`."""

    def get(self, key: str) -> Any:
        """The part of this name; its module is imported before."""
        self.import_from_location()
        scope, name = self.split_scope_key(key)
        if scope in (None, self.scope) and name not in self.module_dict:
            for location in self._locations:
                getattr(import_module(location), name, None)
        return super().get(key)

    def import_all(self) -> None:
        """Import every part whose package is installed, for the names of all."""
        self.import_from_location()
        for module in map(import_module, self._locations):
            for name in getattr(module, '__all__', ()):
                with suppress(UsageError):
                    getattr(module, name)


MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='shake_mm',
    locations=[
        'shake_mm.connectors',
        'shake_mm.distillers',
        'shake_mm.losses',
        'shake_mm.models',
        'shake_mm.proxies',
    ],
)
DATASETS = PartRegistry('dataset', parent=MMENGINE_DATASETS, scope='shake_mm', locations=['shake_mm.datasets'])
DATA_SAMPLERS = PartRegistry(
    'data sampler', parent=MMENGINE_DATA_SAMPLERS, scope='shake_mm', locations=['shake_mm.datasets']
)
FUNCTIONS = PartRegistry('function', parent=MMENGINE_FUNCTIONS, scope='shake_mm', locations=['shake_mm.datasets'])
TRANSFORMS = PartRegistry('transform', parent=MMENGINE_TRANSFORMS, scope='shake_mm', locations=['shake_mm.datasets'])
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope='shake_mm', locations=['shake_mm.evaluation'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='shake_mm', locations=['shake_mm.hooks'])
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope='shake_mm', locations=['shake_mm.loops'])
OPTIMIZERS = Registry('optimizer', parent=MMENGINE_OPTIMIZERS, scope='shake_mm', locations=['shake_mm.optim'])
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper', parent=MMENGINE_OPTIM_WRAPPERS, scope='shake_mm', locations=['shake_mm.optim']
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope='shake_mm',
    locations=['shake_mm.optim'],
)
TASKS = PartRegistry('task', scope='shake_mm', locations=['shake_mm.tasks'])
"""Filled by :func:`shake_mm.tasks.task_of`: the module of a task is imported where there is a network of its kind."""


def build_part(config: Any, facts: Mapping[str, Any] | None = None, where: str = '') -> Any:
    """Build a part of a distiller: a bare type name that is ours means ours, whatever the run's default scope is.

    The scope stays as it is, so that parts of parts (the head in a shadow head) are found where the student's are.

    Args:
        config (dict | nn.Module): The part's config; something built already passes.
        facts (dict, optional): Constructor arguments that the config may leave out, e.g. ``in_channels``. They fill
            those that have no default. A value of None stands for a fact that is not known.
        where (str): Where the part stands in the config, named in errors.

    Raises:
        UsageError: If a fact is needed that is not known, or an argument is of another type than it must be.
    """
    from torch import nn  # an import of shake_mm alone does without

    if config is None or isinstance(config, nn.Module):
        return config
    if not isinstance(config, dict) or 'type' not in config:
        raise UsageError(f"{where or 'a part'} is {config!r}, but it must be a config: give a dict with a 'type'.")
    kind = config['type']
    MODELS.import_from_location()  # fills the dict
    kind = MODELS.module_dict.get(kind, kind) if isinstance(kind, str) else kind
    if not kind or not (isinstance(kind, str) or callable(kind)):
        raise UsageError(f'{where or "a part"} has the type {kind!r}, but it must be the name of one.')
    try:
        inferred = _inferred(kind, config, facts or {}, where)
        return MODELS.build({**config, 'type': kind, **inferred})
    except UsageError as error:
        raise UsageError(f'{where}: {error}' if where and where not in str(error) else str(error)) from error
    except (TypeError, ValueError, RuntimeError) as error:
        if 'unexpected keyword' in str(error):
            raise
        given = ', '.join(f'{key}={value!r}' for key, value in config.items() if key != 'type')
        name = config['type'] if isinstance(config['type'], str) else config['type'].__name__
        raise UsageError(
            f'{where or "a part"}: {name} cannot be made of {given or "no arguments"} '
            f'({" ".join(str(error).split())}): correct them.'
        ) from error


def asks_for(config: Any, name: str) -> bool:
    """Whether the constructor of a part asks for a fact that its config leaves out.

    Args:
        config (dict | nn.Module): The part's config; something built already asks for nothing.
        name (str): The argument.
    """
    if not isinstance(config, Mapping) or name in config:
        return False
    MODELS.import_from_location()
    kind = config.get('type')
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    return callable(cls) and name in inspect.signature(cls).parameters


def takes(kind: Any, argument: str) -> bool:
    """Whether a part has an argument of this name, such as a loss a temperature; True where the part is not known.

    Args:
        kind (str | type): The part's type, as a config names it.
        argument (str): Name of the argument.
    """
    MODELS.import_from_location()  # fills the dict
    cls = MODELS.module_dict.get(kind) or MODELS.get(kind) if isinstance(kind, str) else kind
    return not callable(cls) or argument in inspect.signature(cls).parameters


def type_name(kind: str | type | None) -> str | None:
    """Return the name of a part's type without its scope; pure Python configs hold the class."""
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', None)


def _inferred(kind: Any, config: dict, facts: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The facts that a part's constructor asks for and its config leaves out; what it holds must be of its types."""
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        return {}
    check_arguments(cls, config, where)
    needed = [
        name
        for name, parameter in inspect.signature(cls).parameters.items()
        if name in facts and name not in config and parameter.default is parameter.empty
    ]
    for name in needed:
        if facts[name] is None:
            raise UsageError(
                f'{where}: {cls.__name__} needs `{name}`, which is not known here: {_MEND.get(name, "give it")}.'
            )
    return {name: facts[name] for name in needed}
