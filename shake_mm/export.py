"""Export: the trained student as a plain OpenMMLab model."""

import copy
import datetime
import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from .atomic import write
from .engine import Distiller
from .errors import UsageError
from .imports import require
from .locks import locked
from .members import MemberSpec, load_strictly, read_checkpoint, weights_in
from .outputs import claim, write_config
from .registry import MODELS
from .version import __version__

# top-level variables that only distillation configs use
_OURS = (
    'teachers',
    'student',
    'peers',
    'method',
    'terms',
    'connectors',
    'taps',
    'contrast',
    'with_init',
    'load_from_key',
)


def export_student(
    config: str | Config,
    checkpoint: str,
    out: str,
    class_head_only: bool = False,
    overwrite: bool = False,
    key: str | None = None,
) -> tuple[Path, Path]:
    """Write the student of a distillation run as a plain checkpoint and config.

    Neither needs a teacher or a shadow; the config needs ``import shake_mm`` only if the student or its data set is
    made of parts of shake_mm. Before anything is kept, the written files are loaded strictly into the plain model and
    its answers compared with those of the distilled one.

    Args:
        config (str | Config): The distillation config.
        checkpoint (str): A checkpoint of its run.
        out (str): A folder, or a path ending in ``.pth`` whose stem names the files.
        class_head_only (bool): Let a DeiT answer by its class head instead of the mean of both heads, see
            :func:`.tasks.classification.class_head_alone`. Defaults to False.
        overwrite (bool): Replace a ``{name}.py`` that no export wrote. Defaults to False.
        key (str, optional): Where in the checkpoint the weights are, if it holds several networks.

    Returns:
        tuple[Path, Path]: The checkpoint ``{name}_{date}-{hash}.pth``, as OpenMMLab publishes, and ``{name}.py``.

    Raises:
        UsageError: If the config is no distiller's, or the checkpoint does not belong to it, or a class head alone is
            asked of a student that has no other, or a file is in the way.
    """
    cfg = Config.fromfile(config) if isinstance(config, (str, os.PathLike)) else config
    folder, name = _destination(cfg, out)
    claim(folder / f'{name}.py', 'export', overwrite, inputs=[cfg.filename])
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        spec = MemberSpec.parse('student', cfg.model['student'])
        if spec.config is not None and cfg.get('data_preprocessor') is not None:
            spec.config.setdefault('data_preprocessor', copy.deepcopy(dict(cfg.data_preprocessor)))
        plain = _plain_config(cfg, spec)
        loaded = read_checkpoint(checkpoint, 'export')
        student = spec.build()
        _check_whole(student)
        state, meta = weights_in(loaded, 'export', checkpoint, student, key), loaded.get('meta') or {}
        load_strictly(student, state, 'export', checkpoint)
        written, layer = _class_head_alone(student) if class_head_only else (state, None)

        with _drafts(folder, name) as (draft, draft_config):
            _save(meta, written, draft)
            write_config(plain, draft_config)
            _verify(spec, cfg.model.get('task'), state, draft_config, draft, layer)
            digest = hashlib.sha256(draft.read_bytes()).hexdigest()[:8]
            published = folder / f'{name}_{datetime.date.today():%Y%m%d}-{digest}.pth'
            claim(published, 'export', overwrite, inputs=[checkpoint])
            return draft.replace(published), draft_config.replace(folder / f'{name}.py')


def _check_whole(student: nn.Module) -> None:
    """Refuse a network that keeps some of its weights to itself, such as a LoRA's, whose base is another file's."""
    kept, all_of_them = len(student.state_dict()), len(list(student.parameters()))
    if kept < all_of_them:
        kind = next((type(m).__name__ for m in student.modules() if m._state_dict_hooks), type(student).__name__)
        raise UsageError(
            f'export: a {kind} leaves weights out of its checkpoints ({kept} of {all_of_them} are in them), so that '
            'they are no whole model: merge them in a script of your own, or distill the network without it.'
        )


def _class_head_alone(student: nn.Module) -> tuple[dict, str]:
    """Weights with which a DeiT answers by its class head, and that head's name; only mmpretrain has such networks."""
    require('mmpretrain', '--class-head-only (`class_head_only`)')
    from .tasks.classification import CLASS_HEAD, class_head_alone

    return class_head_alone(student), CLASS_HEAD


@contextmanager
def _drafts(folder: Path, name: str) -> Iterator[tuple[Path, Path]]:
    """Names of a checkpoint and a config that are written first; what is left of them goes in the end.

    Drafts of an export that was killed have the same names: they are written anew. Of two at once one waits.
    """
    drafts = (folder / f'.{name}.draft.pth', folder / f'.{name}.draft.py')
    with locked(folder, 'an export', wait=60):
        try:
            yield drafts
        finally:
            for path in drafts:
                path.unlink(missing_ok=True)


def _save(meta: dict, state: dict, path: Path) -> None:
    """Save a checkpoint; torch's own writer tells of a full disk without its cause."""
    keep = {key: meta[key] for key in ('epoch', 'iter', 'dataset_meta') if key in meta}
    buffer = io.BytesIO()
    torch.save({'meta': {**keep, 'shake_mm_version': __version__}, 'state_dict': state}, buffer)
    write(path, buffer.getbuffer(), 'nothing was exported')


def _destination(cfg: Config, out: str) -> tuple[Path, str]:
    """Folder and name of what is written, for a config that has a student."""
    if 'student' not in cfg.get('model', {}):
        raise UsageError(
            'export: the config has no `model.student`: give the config that the student was distilled with.'
        )
    path = Path(out)
    if path.suffix == '.pth':
        return path.parent, path.stem
    return path, f'{Path(cfg.filename).stem}_student' if cfg.filename else 'student'


def _plain_config(cfg: Config, spec: MemberSpec) -> Config:
    """The run's config without distillation: the student as the model, none of our hooks."""
    if spec.config is None:
        raise UsageError('export: the student was given as a built module, so there is no config to write.')
    plain = copy.deepcopy(cfg.to_dict())  # types of a lazy config as strings, its imports left out
    for key in _OURS:
        plain.pop(key, None)
    plain['model'] = _written(spec.config)
    hooks = [hook for hook in plain.pop('custom_hooks', None) or [] if not str(hook['type']).startswith('shake_mm.')]
    if hooks:
        plain['custom_hooks'] = hooks
    plain.update(load_from=None, resume=False)
    plain.pop('work_dir', None)
    imports = plain.pop('custom_imports', None)
    if 'shake_mm.' in repr(plain):
        plain['custom_imports'] = imports or {'imports': ['shake_mm'], 'allow_failed_imports': False}
    elif imports:
        names = [name for name in imports['imports'] if name != 'shake_mm']
        if names:
            plain['custom_imports'] = {**imports, 'imports': names}
    return Config(plain)


def _written(part: Any) -> Any:
    """A part of a config with the names of classes, which a lazy config holds, in place of them."""
    if isinstance(part, Mapping):
        return {key: _written(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(map(_written, part))
    return f'{part.__module__}.{part.__qualname__}' if isinstance(part, type | FunctionType) else part


@torch.no_grad()
def _verify(
    spec: MemberSpec, task: dict | None, state: dict, config_file: Path, weights: Path, layer: str | None
) -> None:
    """Load what was written as a stranger would, and compare it with the distilled model, or with one layer of it."""
    distilled = Distiller(student=spec.build(), task=task)
    distilled.load_state_dict({f'student.{k}': v for k, v in state.items()}, strict=False)
    model = MODELS.build(Config.fromfile(config_file).model)
    load_strictly(model, read_checkpoint(str(weights), 'export')['state_dict'], 'export', str(weights))
    shape: tuple[int, ...] = distilled.task.input_shape(spec.config or {})
    size = distilled.task.image_size(distilled.student)
    if size is not None and 'backbone' not in (spec.config or {}):  # of another library, which its config does not tell
        shape = (shape[0], *((size, size) if isinstance(size, int) else size))
    inputs = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    if layer is not None:
        heard: list[torch.Tensor] = []
        distilled.student.get_submodule(layer).register_forward_hook(lambda *call: heard.append(call[-1]))
    networks = (distilled.student, model)
    for network in networks:
        network.eval()  # mmdet's LAD and LD return nothing
    ours, theirs = (distilled.task.outputs(network, inputs) for network in networks)
    ours = ours if layer is None else heard
    if len(ours) != len(theirs) or not all(map(_same, ours, theirs)):
        raise RuntimeError(
            'export: the written student does not answer as the distilled one does; nothing was published.'
        )


def _same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Whether two answers are equal, to the bit; untrained weights may well answer with no numbers."""
    return ours.shape == theirs.shape and bool(((ours == theirs) | (ours.isnan() & theirs.isnan())).all())
