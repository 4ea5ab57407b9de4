"""The dry run: each member once on tensors without data, when a distiller is built.

It finds the shapes that connectors and losses leave to be inferred, and tells of terms that cannot work before the data
is loaded. Nothing is computed: parameters and inputs lie on torch's ``meta`` device, and no state changes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..errors import UsageError
from ..taps import NoElementError
from ..utils import image_channels

BATCH = 2
Shape = tuple[int, ...]


class Pass(nn.Module):
    """Makes ``run(network, inputs)`` a module, which is what torch runs with other parameters.

    Args:
        network (nn.Module): A member.
        run (callable): How its pass is run.
    """

    def __init__(self, network: nn.Module, run: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.network, self._run = network, run

    def forward(self, inputs: Tensor) -> Any:
        """Run the pass on images (N, C, H, W)."""
        return self._run(self.network, inputs)


def on_meta(
    module: nn.Module, *args: Any, trained: Collection[str] = (), named: Mapping[str, Any] | None = None
) -> Any:
    """Call ``module`` with parameters, buffers and tensors that have shapes and no data.

    Those named in ``trained`` ask for gradients, which tells what depends on them. ``named`` are arguments by name.
    """
    # Every layer once: of one that stands in two places, torch would put back the stand-ins in the end.
    state = {
        f'{prefix}.{name}'.lstrip('.'): tensor.detach().to('meta')
        for prefix, layer in module.named_modules()
        for name, tensor in chain(layer.named_parameters(recurse=False), layer.named_buffers(recurse=False))
    }
    for name in trained:
        if name in state:
            state[name].requires_grad_()
    with evaluating(module), torch.set_grad_enabled(bool(trained)):
        return functional_call(module, state, args, dict(named or {}), tie_weights=False)


def run_members(
    networks: Mapping[str, nn.Module],
    run: Callable[[nn.Module, Tensor], Any],
    sizes: Mapping[str, Sequence[int]],
    channels: int | None = None,
    trained: Mapping[str, Collection[str]] | None = None,
) -> set[str]:
    """Run networks, so that their taps record tensors without data.

    Args:
        networks (dict): By member.
        run (callable): How the task runs one without labels.
        sizes (dict): Height and width of the images of each member.
        channels (int, optional): Their channels. Defaults to those that each network takes.
        trained (dict, optional): Parameters that ask for gradients, by member. Defaults to none.

    Returns:
        set[str]: Members that cannot be run so (layers that look at values); their shapes stay unknown.
    """
    unknown = set()
    for name, network in networks.items():
        try:
            asking = [f'network.{parameter}' for parameter in (trained or {}).get(name, ())]
            inputs = torch.empty(BATCH, channels or image_channels(network), *sizes[name], device='meta')
            on_meta(Pass(network, run), inputs, trained=asking)
        except NoElementError:
            raise
        except Exception:  # whatever a layer does with tensors that have no data
            unknown.add(name)
    return unknown


def shape_of(value: Any) -> Any:
    """Shape without the batch, ``(C, H, W)`` or ``(C,)``, of a tensor; a list for several; None if unknown."""
    if isinstance(value, (list, tuple)):
        return [shape_of(item) for item in value]
    return tuple(value.shape[1:]) if isinstance(value, Tensor) else None


def facts_of(learner: Any, target: Any, num_samples: int | None) -> dict[str, Any]:
    """What a connector or loss may leave out of its config: constructor arguments by name; None where unknown.

    Args:
        learner (Tensor | list): What it reads.
        target (Tensor | list): What its result is compared with.
        num_samples (int, optional): Size of the training set.
    """
    sides = {'in': shape_of(learner), 'out': shape_of(target)}
    facts: dict[str, Any] = {'num_samples': num_samples, 'num_channels': _channels(sides['out'])}
    for side, shape in sides.items():
        facts[f'{side}_shape'] = shape
        facts[f'{side}_channels'] = facts[f'{side}_features'] = _channels(shape)
    return facts


def unknown_field(name: str) -> Any:
    """What is known of a fact of the batch before there is one: labels and boxes without data, else nothing."""
    if name == 'gt_bboxes':
        return [torch.empty(1, 4, device='meta') for _ in range(BATCH)]
    if name == 'batch_input_shape':
        return 64, 64
    shapes = {'gt_labels': (BATCH,), 'label': (BATCH,), 'gt_sem_seg': (BATCH, 1, 8, 8)}
    return torch.empty(shapes[name], dtype=torch.long, device='meta') if name in shapes else None


def try_out(where: str, module: nn.Module, *args: Any, **named: Any) -> Any:
    """Call a connector or loss on tensors without data.

    Args:
        where (str): Where it stands in the config, named in errors.
        module (nn.Module): The connector or loss.
        *args (Tensor | list[Tensor]): What it reads.
        **named (Tensor | list[Tensor]): What it reads by name.

    Returns:
        Tensor | list[Tensor] | None: What it makes; None if something is unknown, or the module looks at values.

    Raises:
        UsageError: If it cannot take them.
    """
    if any(unknown(arg) for arg in (*args, *named.values())):
        return None
    try:
        return on_meta(module, *args, named=named)
    except UsageError as error:
        raise UsageError(f'{where}: {error}') from None
    except (RuntimeError, TypeError, ValueError, AssertionError, AttributeError, IndexError) as error:
        if isinstance(error, NotImplementedError) or 'meta' in str(error):
            return None
        shapes = ' and '.join(str(shape_of(arg)) for arg in args[:2])
        reason = ' '.join(str(error).split())
        raise UsageError(f'{where}: {type(module).__name__} does not take features of {shapes}: {reason}.') from None


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, so that nothing is updated; afterwards every layer is in the mode it was in."""
    modes = {layer: layer.training for layer in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode


def unknown(value: Any) -> bool:
    """Whether a value, or one of several, is not known."""
    return any(unknown(item) for item in value) if isinstance(value, (list, tuple)) else value is None


def _channels(shape: Any) -> Any:
    if isinstance(shape, list):
        return [_channels(item) for item in shape]
    if not shape:
        return None
    return shape[1] if len(shape) == 2 else shape[0]  # tokens of a transformer are (L, C)
