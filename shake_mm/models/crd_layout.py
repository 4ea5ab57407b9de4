"""From the state dicts of the CRD benchmark to those of mmpretrain's classifiers."""

import os.path as osp
from pathlib import Path

from torch import Tensor

from ..compat import configs_dir
from ..errors import UsageError

_FOLDER = osp.join('_base_', 'models', 'crd')
# What the benchmark calls its linear classifier, by the beginning of the network's name.
_CLASSIFIERS = {
    'resnet': 'fc',
    'wrn': 'fc',
    'vgg': 'classifier',
    'MobileNet': 'classifier.0',
    'ResNet': 'linear',
    'Shuffle': 'linear',
}


def crd_archs() -> list[str]:
    """Names of the networks that have a config, as the benchmark writes them."""
    return sorted(path.stem for path in Path(configs_dir(), _FOLDER).glob('*.py'))


def crd_config(arch: str) -> str:
    """The config file of a network of :func:`crd_archs`."""
    return osp.join(configs_dir(), _FOLDER, f'{arch}.py')


def crd_to_mmpretrain(state: dict[str, Tensor], arch: str) -> dict[str, Tensor]:
    """Rename a state dict of the CRD benchmark for mmpretrain's ``ImageClassifier``.

    The classifier becomes ``head.fc``, everything else goes under ``backbone``, whose parameters have the benchmark's
    names. Shapes are not compared here.

    Args:
        state: The benchmark's state dict.
        arch: Name of its network, one of :func:`crd_archs`.

    Raises:
        UsageError: If the benchmark has no such network, or the state dict has no classifier of it.
    """
    classifier = next((name for prefix, name in _CLASSIFIERS.items() if arch.startswith(prefix)), None)
    if classifier is None:
        raise UsageError(f"the CRD benchmark has no network '{arch}': use one of {', '.join(crd_archs())}.")
    weight = state.get(f'{classifier}.weight')
    if weight is None or weight.ndim != 2:
        raise UsageError(
            f'{arch} keeps its linear classifier in {classifier}.weight, which these weights lack: they are of another '
            'network or another layout, name the network that was trained.'
        )
    fc = {f'{classifier}.{part}': f'head.fc.{part}' for part in ('weight', 'bias')}
    return {fc.get(key, f'backbone.{key}'): value for key, value in state.items()}
