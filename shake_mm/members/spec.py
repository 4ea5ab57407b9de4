"""How a config names a network: a model dict, a config file, or a config file with trained weights."""

import copy
import difflib
import os
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config, ConfigDict
from torch import nn

from ..errors import UsageError
from ..registry import MODELS
from .checkpoint import load_strictly, read_checkpoint, weights_in
from .classes import BY_NAME, names_in
from .inference import Inference
from .normalization import Normalization, normalization_of_run

_KEYS = ('config', 'checkpoint', 'key', 'trainable', 'resize', 'taps', 'cache', 'inference', 'classes')


@dataclass
class MemberSpec:
    """One network of a distiller, as configured.

    Args:
        name (str): The member's name, ``student`` or ``teacher0``.
        model (dict | nn.Module): The model's config, or the model itself.
        checkpoint (str, optional): File of trained weights.
        key (str, optional): Where in the file they are, if it holds several networks: ``'teacher'``.
        trainable (bool): Whether the member is trained along. Defaults to False.
        resize (tuple[int, int], optional): Size ``(H, W)`` to which the student's view is resized for this member.
        taps (dict[str, str], optional): Further short tap names, e.g. ``dict(f1='backbone.stages.0')``.
        cache (str, optional): Folder in which a frozen teacher's logits are kept, see :class:`CachedMember`.
        inference (Inference): How a frozen teacher computes.
        pipeline (Normalization, optional): What the pipeline of its config file does before its preprocessor; None
            where the config has no pipeline.
        classes (str | tuple[str], optional): ``'by_name'`` takes those of a frozen teacher's logits that are of the
            student's classes, by the names in its checkpoint; a list gives these names, in the order of its logits.
    """

    name: str
    model: dict | nn.Module
    checkpoint: str | None = None
    key: str | None = None
    trainable: bool = False
    resize: tuple[int, int] | None = None
    taps: dict[str, str] = field(default_factory=dict)
    cache: str | None = None
    inference: Inference = Inference()
    pipeline: Normalization | None = None
    classes: str | tuple[str, ...] | None = None

    @classmethod
    def parse(cls, name: str, spec: Any) -> 'MemberSpec':
        """Read a config's entry.

        Args:
            name (str): The member's name.
            spec (str | dict | nn.Module): A config file (also ``'mmpretrain::resnet/….py'``), a model dict, a model,
                or ``dict(config=<one of these>, …)`` with the other arguments of this class.

        Raises:
            UsageError: If the entry is none of these.
        """
        if isinstance(spec, (str, os.PathLike, nn.Module)) or (isinstance(spec, dict) and 'type' in spec):
            model, pipeline = _read_model(name, spec)
            return cls(name, model, pipeline=pipeline)
        if not isinstance(spec, dict) or 'config' not in spec:
            raise UsageError(
                f"{name}: give a config file, a model dict with a 'type', or dict(config=…, checkpoint=…)."
            )
        for key in spec:
            if key not in _KEYS:
                near = difflib.get_close_matches(key, _KEYS, n=1) or [', '.join(_KEYS)]
                raise UsageError(f"{name}: unknown key '{key}', did you mean {near[0]}?")
        if not isinstance(spec.get('key'), str | None):
            raise UsageError(
                f"{name}: key={spec['key']!r} is no text: name a key of the checkpoint, such as 'teacher'."
            )
        resize = spec.get('resize')
        if isinstance(resize, int):
            resize = (resize, resize)
        if resize is not None and not _is_size(resize):
            raise UsageError(f'{name}: resize={resize!r} is no size: give one side or height and width, 1 or more.')
        classes = spec.get('classes')
        if not (classes in (None, BY_NAME) or (isinstance(classes, (list, tuple)) and all(map(_is_text, classes)))):
            raise UsageError(f"{name}: classes={classes!r} must be '{BY_NAME}', or the names of its classes in a list.")
        for key in ('cache', 'inference', 'classes'):
            if spec.get('trainable') and spec.get(key):
                raise UsageError(f'{name}: `{key}` is for frozen teachers, and this one is trained: leave it out.')
        inference = Inference.parse(name, spec.get('inference'))
        if inference.auto and spec.get('cache'):
            raise UsageError(
                f"{name}: inference='auto' may take another way on another machine, and a cache must hold one: leave "
                'one of them out.'
            )
        model, pipeline = _read_model(name, spec['config'])
        return cls(
            name,
            model,
            spec.get('checkpoint'),
            spec.get('key'),
            bool(spec.get('trainable', False)),
            None if resize is None else tuple(resize),
            dict(spec.get('taps') or {}),
            spec.get('cache'),
            inference,
            pipeline,
            classes if classes is None or isinstance(classes, str) else tuple(classes),
        )

    def build(self) -> nn.Module:
        """Build the network, without loading weights."""
        if isinstance(self.model, nn.Module):
            return self.model
        return MODELS.build(ConfigDict(copy.deepcopy(self.model)))  # mmdet reads its settings as attributes

    @property
    def config(self) -> dict | None:
        """The model dict, or None where the model itself was given."""
        return None if isinstance(self.model, nn.Module) else self.model

    @property
    def states_normalization(self) -> bool:
        """Whether it is known how the network's images are normalized."""
        own = self.config is None or self.config.get('data_preprocessor') is not None
        return own or self.pipeline is not None

    def load(self, network: nn.Module) -> tuple[str, ...] | None:
        """Load the weights of a network that starts from a checkpoint; return the names of classes in that, if any."""
        if self.checkpoint is None:
            return None
        loaded = read_checkpoint(self.checkpoint, self.name)
        state = weights_in(loaded, self.name, self.checkpoint, network, self.key)
        load_strictly(network, state, self.name, self.checkpoint)
        return names_in(loaded.get('meta')) or names_in(loaded)


def _read_model(name: str, source: Any) -> tuple[dict | nn.Module, Normalization | None]:
    """The model dict behind ``source``; from a file, with its scope, its ``data_preprocessor`` and its pipeline."""
    if isinstance(source, nn.Module):
        return source, None
    if isinstance(source, dict) and 'model' not in source:
        return copy.deepcopy(dict(source)), None
    try:
        config = source if isinstance(source, dict) else _read_file(str(source))
    except (FileNotFoundError, OSError) as error:
        raise UsageError(f"{name}: config file '{source}' cannot be read ({error}): correct the path.") from None
    if 'model' not in config:
        raise UsageError(f"{name}: '{source}' has no `model`.")
    model = copy.deepcopy(dict(config['model']))
    if 'student' in model:  # a distillation config: its student is meant, as its checkpoint's weights are
        model = dict(model['student'])
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', copy.deepcopy(config['data_preprocessor']))
    if config.get('default_scope'):
        model.setdefault('_scope_', config['default_scope'])
    return model, normalization_of_run(config, f'{name}: ')


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_size(size: Any) -> bool:
    sides = list(size) if isinstance(size, (list, tuple)) else []
    return len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides)


def _read_file(source: str) -> Config:
    # mmengine resolves 'package::file' within `_base_` only.
    return Config.fromstring(f'_base_ = {source!r}', '.py') if '::' in source else Config.fromfile(source)
