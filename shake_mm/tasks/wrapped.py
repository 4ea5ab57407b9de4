"""mmpretrain's classifiers that hold a whole network of timm or transformers."""

from collections.abc import Sequence

from mmpretrain.models.classifiers import HuggingFaceClassifier, TimmClassifier
from torch import nn

from ..taps import Alias

WRAPPERS: dict[type, str] = {TimmClassifier: 'model', HuggingFaceClassifier: 'model[0]'}
"""The kinds, and the taps of their logits."""

LAST = ('classifier', 'head', 'fc')
"""What transformers calls the layer that makes logits."""


def is_wrapped(network: nn.Module) -> bool:
    """Whether a classifier holds a network of another library."""
    return isinstance(network, tuple(WRAPPERS))


def wrapped_aliases(network: nn.Module) -> dict[str, Alias]:
    """Short tap names: the images, the logits, and what the last layer reads."""
    logits = next(tap for kind, tap in WRAPPERS.items() if isinstance(network, kind))
    name, _ = last_layer(network)
    read: dict[str, Alias] = {} if name is None else {'feats': f'{name}:input', 'pool': f'{name}:input'}
    return {'inputs': 'model:input', 'logits': logits, **read}


def wrapped_classes(network: nn.Module) -> int | None:
    """Number of classes, which either library states in a place of its own."""
    inner = network.model
    number = getattr(inner, 'num_classes', getattr(getattr(inner, 'config', None), 'num_labels', None))
    return number if isinstance(number, int) and number > 0 else None


def wrapped_size(network: nn.Module) -> int | Sequence[int] | None:
    """Size of the images that the network was made for; None if it takes any."""
    inner = network.model
    size = getattr(getattr(inner, 'patch_embed', None), 'img_size', None)
    return size or getattr(getattr(inner, 'config', None), 'image_size', None)


def wrapped_branch(network: nn.Module) -> nn.Linear:
    """A layer of the shape of the last one, initialized as mmpretrain's linear heads are."""
    _, last = last_layer(network)
    assert last is not None, 'check_shadow has seen to it'
    fresh = nn.Linear(last.in_features, last.out_features)
    nn.init.normal_(fresh.weight, std=0.01)
    nn.init.zeros_(fresh.bias)
    return fresh


def last_layer(network: nn.Module) -> tuple[str | None, nn.Linear | None]:
    """The linear layer that makes the logits, and its name; None if there is no such layer, or several."""
    classes = wrapped_classes(network)
    found = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == classes
    ]
    getter = getattr(network.model, 'get_classifier', None)
    if getter is None:
        found = [(name, layer) for name, layer in found if any(part in name for part in LAST)]
    else:  # timm's
        chosen = getter()
        found = [(name, layer) for name, layer in found if layer is chosen]
    return found[0] if len(found) == 1 else (None, None)
