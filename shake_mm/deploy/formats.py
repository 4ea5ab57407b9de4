"""The two formats: how each is written, and what a written file answers."""

import io
import json
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from packaging.version import Version
from torch import Tensor

from ..errors import UsageError
from ..explain import one_line
from .network import DeployedNetwork

INPUT = 'images'
MARK = 'Written by shake_mm'
"""Stands in each file, so that the command knows what it may replace."""

PACKAGES = ('onnx', 'onnxscript')
PRESENT = Version('2.9')
"""Torch whose present exporter, by ``torch.export``, had become the one that it takes by itself."""
Answer = Callable[[Tensor], Sequence[Tensor]]


def write_torchscript(network: DeployedNetwork, inputs: Tensor, path: Path, facts: dict[str, str]) -> None:
    """Trace the network on a batch and save it, with facts about it as the extra file ``shake_mm.json``.

    Args:
        network (DeployedNetwork): The network.
        inputs (Tensor): Pixels (N, C, H, W).
        path (Path): The file.
        facts (dict[str, str]): What a reader should know.
    """
    traced = torch.jit.trace(network, inputs, check_trace=False)
    torch.jit.save(traced, str(path), _extra_files={'shake_mm.json': json.dumps({'about': MARK, **facts})})


def read_torchscript(path: Path) -> Answer:
    """What a TorchScript file answers."""
    return torch.jit.load(str(path), map_location='cpu')


def check_packages() -> None:
    """Refuse to write ONNX without the packages that torch needs for it.

    Raises:
        UsageError: With the command that installs them.
    """
    old = _is_old()
    lacking = [name for name in PACKAGES if find_spec(name) is None and not (old and name == 'onnxscript')]
    if lacking:
        raise UsageError(
            f'deploy: ONNX is written with {" and ".join(lacking)}, not installed here: run `pip install '
            f'{" ".join(PACKAGES)} onnxruntime`, or name a TorchScript file, OUT.pt.'
        )


def write_onnx(
    network: DeployedNetwork, inputs: Tensor, path: Path, facts: dict[str, str], opset: int | None = None
) -> None:
    """Write ONNX by torch's exporter, of any batch size, with facts about the network as ``metadata_props``.

    Args:
        network (DeployedNetwork): The network.
        inputs (Tensor): Pixels (N, C, H, W), N > 1.
        path (Path): The file, which holds the weights too.
        facts (dict[str, str]): What a reader should know.
        opset (int, optional): Version of the operators. Defaults to the exporter's own.
    """
    import onnx

    names = dict(input_names=[INPUT], output_names=network.names, opset_version=opset)
    if _is_old():  # the exporter by tracing: onnxscript asks for a later torch
        axes = {name: {0: 'batch'} for name in (INPUT, *network.names)}
        buffer = io.BytesIO()
        torch.onnx.export(network, (inputs,), buffer, dynamic_axes=axes, **names)
        model = onnx.load_from_string(buffer.getvalue())
    else:
        batch = ({0: torch.export.Dim('batch')},)
        model = torch.onnx.export(
            network, (inputs,), dynamo=True, verbose=False, dynamic_shapes=batch, **names
        ).model_proto
    onnx.helper.set_model_props(model, {'about': MARK, **facts})
    path.write_bytes(model.SerializeToString())


def read_onnx(path: Path) -> Answer | None:
    """What an ONNX file answers by onnxruntime; None where that is not installed."""
    if find_spec('onnxruntime') is None:
        return None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda inputs: [torch.from_numpy(value) for value in session.run(None, {INPUT: inputs.numpy()})]


def quietly(write: Callable[[], None], network: DeployedNetwork, kind: str) -> None:
    """Write a file without the notes of torch's exporters, and tell of their failure in a sentence.

    Raises:
        UsageError: If the exporter cannot write such a network.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            write()
    except UsageError:
        raise
    except Exception as error:  # whatever an exporter raises where it knows no operator
        raise UsageError(
            f'deploy: torch cannot write this {type(network.network).__name__} as {kind} ({one_line(error)}): name a '
            'file of the other format, or export it and go on with mmdeploy, see docs/deploy.md.'
        ) from error


def _is_old() -> bool:
    """Whether torch writes ONNX by tracing."""
    return Version(torch.__version__) < PRESENT
