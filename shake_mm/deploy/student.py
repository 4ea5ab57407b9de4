"""Deploy a student: load it, write it, compare the file's answers with its own, then let it take its name."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from ..atomic import write
from ..errors import UsageError
from ..members import MemberSpec, load_strictly, names_in, read_checkpoint, weights_in
from ..members.normalization import normalization_of_run
from ..outputs import claim
from ..tasks import Task
from ..tasks.lookup import build_task, task_of
from .formats import (
    Answer,
    check_packages,
    quietly,
    read_onnx,
    read_torchscript,
    write_onnx,
    write_torchscript,
)
from .network import DeployedNetwork, example, picture_shape, pixels_of

FORMATS = {'.onnx': 'ONNX', '.pt': 'TorchScript'}
TOLERANCE = 1e-4
"""Of the largest value of an answer: float32 sums in another order differ by less, a wrong layer by more."""
TRACED, COMPARED = 2, (1, 3)
"""Pictures of the batch that a network is traced with, and of those that answers are compared on."""


class Deployed(NamedTuple):
    """What was written.

    Args:
        path (Path): The file.
        format (str): ``'ONNX'`` or ``'TorchScript'``.
        shape (tuple[int, int, int]): Channels, height and width of the pictures.
        outputs (dict[str, tuple[int, ...]]): Shapes of the answers to a picture, without the batch.
        difference (float | None): The largest difference from PyTorch's answers, as a share of the largest value;
            None where nothing is installed that could answer.
    """

    path: Path
    format: str
    shape: tuple[int, int, int]
    outputs: dict[str, tuple[int, ...]]
    difference: float | None


def deploy_student(
    config: str | Config,
    checkpoint: str,
    out: str,
    size: Sequence[int] | None = None,
    opset: int | None = None,
    overwrite: bool = False,
    key: str | None = None,
) -> Deployed:
    """Write a trained student as ONNX or TorchScript.

    The file takes pixels, float32 (N, C, H, W) of 0 to 255 as the config's pipeline loads them (mmcv loads BGR), for
    any N, and normalizes them itself. A classifier answers ``logits`` and ``scores``, a segmentor ``logits`` of every
    pixel, a one-stage detector the maps of its head, level by level.

    Args:
        config (str | Config): The config of a distillation or of any other run, or one that an export wrote.
        checkpoint (str): A checkpoint of that run, or the exported one.
        out (str): The file: ``.onnx``, or ``.pt`` for TorchScript.
        size (sequence of int, optional): Height and width of the pictures, or one number for both. Defaults to what
            the test pipeline makes.
        opset (int, optional): Version of ONNX's operators. Defaults to the exporter's own.
        overwrite (bool): Replace a file that no deployment wrote. Defaults to False.
        key (str, optional): Where in the checkpoint the weights are, if it holds several networks.

    Returns:
        Deployed: What was written.

    Raises:
        UsageError: If the network answers by more than plain maps (two-stage detectors, DETR), the exporter does not
            know a layer, the checkpoint is another network's, no size is known, or a file is in the way.
    """
    cfg = Config.fromfile(config) if isinstance(config, (str, os.PathLike)) else config
    path = Path(out)
    if path.suffix not in FORMATS:
        raise UsageError(f"deploy: '{out}' tells no format: name a file that ends in .onnx, or in .pt for TorchScript.")
    claim(path, 'deploy', overwrite, inputs=[cfg.filename, checkpoint])
    if path.suffix == '.onnx':
        check_packages()
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')), torch.no_grad():
        spec, task = _student_of(cfg)
        network, classes = _loaded(spec, checkpoint, key)
        task = task or task_of(network)
        shape = picture_shape(cfg, task, network, size)
        deployed = DeployedNetwork(network, task, pixels_of(spec, network)).eval()
        answers = deployed(example(shape, TRACED))
        facts = _facts(shape, classes, path.suffix)
        draft = path.with_name(f'.{path.name}.draft{path.suffix}')
        try:
            draft.parent.mkdir(parents=True, exist_ok=True)
            difference = _write_and_compare(deployed, shape, draft, facts, opset)
            write(path, draft.read_bytes(), 'nothing was deployed')
        finally:
            draft.unlink(missing_ok=True)
    outputs = {name: tuple(answer.shape[1:]) for name, answer in zip(deployed.names, answers, strict=True)}
    return Deployed(path, FORMATS[path.suffix], shape, outputs, difference)


def _student_of(cfg: Config) -> tuple[MemberSpec, Task | None]:
    """The network that a config trains, or distills, and its task where the config names one."""
    model = cfg.get('model')
    if not isinstance(model, Mapping):
        raise UsageError('deploy: the config has no `model`: give the config that the student was trained with.')
    spec = MemberSpec.parse('student', model['student'] if 'student' in model else {'config': {**cfg.to_dict()}})
    if spec.config is not None and cfg.get('data_preprocessor') is not None:
        spec.config.setdefault('data_preprocessor', dict(cfg.data_preprocessor))
    if spec.pipeline is None:
        spec.pipeline = normalization_of_run(cfg)
    return spec, None if model.get('task') is None else build_task(model['task'])


def _loaded(spec: MemberSpec, checkpoint: str, key: str | None) -> tuple[nn.Module, Sequence[str] | None]:
    """The network with a checkpoint's weights, in evaluation mode, and the names of the classes, if they are there."""
    loaded = read_checkpoint(checkpoint, 'deploy')
    network = spec.build()
    load_strictly(network, weights_in(loaded, 'deploy', checkpoint, network, key), 'deploy', checkpoint)
    return network.eval(), names_in(loaded.get('meta'))


def _facts(shape: tuple[int, int, int], classes: Sequence[str] | None, suffix: str) -> dict[str, str]:
    """What stands in the file for whoever reads it."""
    channels, height, width = shape
    facts = {'input': f'float32 (batch, {channels}, {height}, {width}), pixels 0 to 255 as the pipeline loads them'}
    return facts if classes is None else {**facts, 'classes': json.dumps(list(classes))}


def _write_and_compare(
    network: DeployedNetwork, shape: tuple[int, int, int], draft: Path, facts: dict[str, str], opset: int | None
) -> float | None:
    """Write a draft and return by how much its answers differ; None where nothing could answer."""
    inputs, kind = example(shape, TRACED), FORMATS[draft.suffix]
    answer: Answer | None
    if kind == 'ONNX':
        quietly(lambda: write_onnx(network, inputs, draft, facts, opset), network, kind)
        answer = read_onnx(draft)
    else:
        quietly(lambda: write_torchscript(network, inputs, draft, facts), network, kind)
        answer = read_torchscript(draft)
    if answer is None:
        return None
    difference = 0.0
    for number in COMPARED:
        batch = example(shape, number)
        for name, ours, theirs in zip(network.names, network(batch), answer(batch), strict=True):
            difference = max(difference, _difference(name, ours, theirs, kind))
    return difference


def _difference(name: str, ours: Tensor, theirs: Tensor, kind: str) -> float:
    """The largest difference of two answers, as a share of the largest value.

    Raises:
        RuntimeError: If it is no rounding.
    """
    scale = ours.abs().nan_to_num().max().clamp(min=1)
    same = ours.shape == theirs.shape and torch.allclose(ours, theirs, 0, TOLERANCE * float(scale), equal_nan=True)
    if not same:
        raise RuntimeError(f"deploy: '{name}' of the {kind} file is not what PyTorch answers; nothing was written.")
    return float((ours - theirs).abs().nan_to_num().max() / scale)
