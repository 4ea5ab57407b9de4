"""Describe what a distillation config builds: its terms, tapped layers and shapes, and what each stage trains.

Found out by building it and taking one optimizer step a stage, on random images and with teachers of random weights.
"""

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample
from torch import nn

from shake_mm.engine import Distiller, Taps, Term
from shake_mm.engine.dry_run import shape_of
from shake_mm.members import MemberSpec
from shake_mm.registry import MODELS
from shake_mm.taps import listed


class Row(NamedTuple):
    """A term in a stage.

    Args:
        stage (int): Counted from 0.
        term (str): Its logged name.
        weight (float): Its factor.
        of (str): What learns: layers with shapes (N left out), or a member.
        to (str): What it learns from, likewise; empty for labels.
        moved (str): What the optimizer changed in the stage, by common prefixes.
    """

    stage: int
    term: str
    weight: float
    of: str
    to: str
    moved: str

    def markdown(self, config: str) -> str:
        """The row as a line of a table, behind the config's name."""
        cells = (config, self.stage, self.term, f'{self.weight:g}', self.of, self.to, self.moved)
        return f'| {" | ".join(str(cell) for cell in cells)} |'


HEADER = '| config | stage | term | weight | what learns | from | what moved |\n|---|---|---|---|---|---|---|'


def build(cfg: Config, image_size: int = 32) -> Distiller:
    """Build a config's distiller with random weights for its teachers, so that no checkpoint need exist.

    Args:
        cfg (Config): The run's config.
        image_size (int): Height and width of the images. Defaults to 32.
    """
    model = copy.deepcopy(cfg.model)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        for i, teacher in enumerate(model.get('teachers', ())):
            teacher.pop('checkpoint', None)
            network = MemberSpec.parse(f'teacher{i}', dict(teacher)).build()
            network.init_weights()
            teacher['config'] = calibrated(network, image_size)
        model.setdefault('data_preprocessor', copy.deepcopy(cfg.get('data_preprocessor')))
        distiller = MODELS.build(model)
        distiller.init_weights()
    return distiller


@torch.no_grad()
def calibrated(network: nn.Module, image_size: int) -> nn.Module:
    """Set batch norm's statistics by one batch: with those of a new network the activations of a deep one explode."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 1.0
    network.train()(torch.randn(4, 3, image_size, image_size), mode='tensor')
    for layer, momentum in zip(norms, momenta):
        layer.momentum = momentum
    return network


def describe(cfg: Config, image_size: int = 32, batch_size: int = 2) -> list[Row]:
    """Build a classification config and take a step in each of its stages.

    Args:
        cfg (Config): The run's config.
        image_size (int): Height and width of the random images. Defaults to 32.
        batch_size (int): How many of them. Defaults to 2.
    """
    model = build(cfg, image_size)
    model.train()
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    batch = random_batch(model, image_size, batch_size)
    rows = []
    for stage in range(len(model.stages)):
        model.enter_stage(stage)
        model.enter_epoch(0)
        seen: list[tuple] = []
        handles = [term.register_forward_pre_hook(partial(_look, seen)) for term in model.terms.values()]
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        model.train_step(batch, wrapper)
        for handle in handles:
            handle.remove()
        moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
        rows += [Row(stage, *term, ' '.join(prefixes(moved, before))) for term in seen]
    return rows


def _look(seen: list[tuple], term: Term, args: tuple) -> None:
    """Before a term is evaluated: what does it read?"""
    sides = [', '.join(_layer(args[0], tap) for tap in listed(side or [])) for side in (term.of, term.to) if term.taps]
    seen.append((term.name, term.weight, *(sides or (term.of, ''))))


def _layer(taps: Taps, tap: str) -> str:
    shape = '×'.join(str(size) for size in shape_of(taps.tensor(tap)))
    return f'{" ".join(taps.layers(tap))} {shape}'


def random_batch(model: Distiller, image_size: int, batch_size: int) -> dict[str, Any]:
    """Random images with their labels, and whatever else the terms ask of the samples."""
    numbers = torch.Generator().manual_seed(0)
    images = torch.randint(256, (batch_size, 3, image_size, image_size), dtype=torch.uint8, generator=numbers)
    samples = [DataSample().set_gt_label(i) for i in range(batch_size)]
    for i, sample in enumerate(samples):
        for name in {name for term in model.terms.values() for name in term.fields} - {'gt_labels', 'label'}:
            # own_idx is a sample's number, contrast_idx begins with it
            others = torch.randint(model.num_samples, (1024,), generator=numbers)
            value = torch.tensor(i)
            sample.set_field(value if name == 'own_idx' else torch.cat([value[None], others]), name)
    return {'inputs': images, 'data_samples': samples}


def prefixes(chosen: Iterable[str], names: Iterable[str]) -> list[str]:
    """The shortest dotted prefixes that stand for exactly the ``chosen`` of ``names``.

    Example:
        >>> prefixes(['a.x', 'a.y', 'b.x'], ['a.x', 'a.y', 'b.x', 'b.y'])
        ['a', 'b.x']
    """
    chosen, names = set(chosen), list(names)
    found: dict[str, None] = {}
    for name in names:
        if name in chosen:
            parts = name.split('.')
            heads = ['.'.join(parts[: i + 1]) for i in range(len(parts))]
            whole = (h for h in heads if all(n in chosen for n in names if n == h or n.startswith(f'{h}.')))
            found[next(whole)] = None
    return list(found)
