"""The CRD benchmark's layouts, random weights in them, and our networks with those weights."""

import json
from pathlib import Path

import torch
from mmengine.config import Config

from shake_mm.members import load_strictly
from shake_mm.models import crd_config, crd_to_mmpretrain
from shake_mm.registry import MODELS

# Name -> the parameters of the network of 100 classes, and the shape of every entry of its state dict, in order.
LAYOUTS = json.loads((Path(__file__).parent / 'crd_layouts.json').read_text())


def random_state(arch, dtype=torch.float64):
    """Weights in the benchmark's layout that keep activations near 1, and random batch norm statistics."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in LAYOUTS[arch]['keys'].items():
        draw = torch.randn(shape, generator=generator, dtype=dtype)
        if key.endswith('num_batches_tracked'):
            draw = torch.tensor(7)
        elif key.endswith('weight') and len(shape) > 1:
            draw *= (2 / draw[0].numel()) ** 0.5
        elif key.endswith('weight'):
            draw = 0.3 + 0.5 * torch.rand(shape, generator=generator, dtype=dtype)
        elif key.endswith('running_var'):
            draw = 0.6 + torch.rand(shape, generator=generator, dtype=dtype)
        else:
            draw *= 0.1
        state[key] = draw
    return state


def build(arch, classes=100):
    """Our classifier of that name, in evaluation mode."""
    config = Config.fromfile(crd_config(arch)).model
    config.head.num_classes = classes
    return MODELS.build(dict(config, _scope_='mmpretrain')).eval()


def build_with(arch, state):
    """Our classifier, in float64, with converted weights."""
    model = build(arch).double()
    load_strictly(model, crd_to_mmpretrain(state, arch), 'test', arch)
    return model


def record(backbone, names):
    """Hook layers, each as a tap names it; returns the dict of lists that they fill."""
    seen = {name: [] for name in names}
    layers = dict(backbone.named_modules())
    for name in names:
        layers[name].register_forward_hook(lambda _, __, output, name=name: seen[name].append((output, output.clone())))
    return seen
