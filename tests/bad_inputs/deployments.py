"""Bad inputs: what cannot be deployed."""

from collections.abc import Callable

import torch
from mmengine.config import ConfigDict

from shake_mm.registry import MODELS
from tests.support.detectors import detector

from .case import Case
from .site import Site, retinanet, weights_of


def _classifier(out: str, *options: str, changes: dict | None = None) -> Callable[[Site], list[str]]:
    def prepare(site: Site) -> list[str]:
        config, weights = site.plain(changes)[0], site.write('good.pth', weights_of(6))
        return [config, weights, site.write(out, 'mine') if out.startswith('full') else str(site.path / out), *options]

    return prepare


def _detector(model: dict, *options: str) -> Callable[[Site], list[str]]:
    def prepare(site: Site) -> list[str]:
        torch.manual_seed(0)
        weights = site.save(MODELS.build(ConfigDict(model)).state_dict(), 'good.pth')
        return [site.scenes(model=model)[0], weights, str(site.path / 'out.pt'), *options]

    return prepare


def _two_stage(site: Site) -> list[str]:
    return _detector(detector('faster_rcnn').to_dict(), '--shape', '64')(site)


def _padded(site: Site) -> list[str]:
    return _detector(retinanet(), '--shape', '50', '64')(site)


CASES = [
    Case('command line', 'deployed in no format', _classifier('out.engine'), 'out.engine', '.onnx', 'deploy'),
    Case('command line', 'deployed in no size', _classifier('out.pt'), 'deploy', '--shape HEIGHT WIDTH', 'deploy'),
    Case(
        'command line',
        'deployed in three sizes',
        _classifier('o.pt', *'--shape 1 2 3'.split()),
        '--shape',
        'height and width',
        'deploy',
    ),
    Case('command line', 'deployed in a size that is padded', _padded, '--shape 50 64', 'give --shape 64 64', 'deploy'),
    Case(
        'command line',
        'deployed over a file',
        _classifier('full.pt', '--shape', '16'),
        'full.pt',
        '--overwrite',
        'deploy',
    ),
    Case('mismatch', 'a two-stage detector, deployed', _two_stage, 'FasterRCNN', 'mmdeploy', 'deploy'),
]
