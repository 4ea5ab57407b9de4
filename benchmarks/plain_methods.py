"""A plain PyTorch loop for any method of classifiers: the same networks, connectors and losses, without our engine.

It is what one would write by hand for one method: hooks that keep the features which the losses read, a forward pass
of each network, the losses one after the other, ``backward`` and the optimizer's step. It calls the method's own loss
modules and connectors, so that the difference in time is what the engine costs, and copies nothing that it keeps.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.training import make_optimizer, on_host
from shake_mm.engine import Distiller
from shake_mm.engine.weighting import weigh
from shake_mm.taps.names import Alias, Combined, TapName, listed
from shake_mm.taps.recorder import Recorder


class MethodLoop:
    """The training steps of one stage of a distiller, by hand.

    Args:
        model (Distiller): Of classifiers, in its stage and in training mode; its networks lose their recorders, so it
            is of no further use itself.
        data (dict): A batch as the data loader gives it.
        device (str): Device of torch.
    """

    def __init__(self, model: Distiller, data: dict, device: str) -> None:
        assert model.plan is not None
        plan, members = model.plan, model.members
        self.frozen = [teacher.network for name, teacher in members.frozen.items() if name in plan.members]
        self.learners = {
            n: network for n, network in members.learners.items() if n in plan.members or n in plan.labeled
        }
        self.derived = {entry.tap: entry for entry in plan.derived}
        self.terms = {name: model.terms[name] for name in plan.terms}
        self.adaptive = model.objective.adaptive
        self.images, self.device = on_host(data['inputs'], device), device
        self.labels = torch.cat([sample.gt_label for sample in data['data_samples']]).to(device)
        self.mean, self.std = model.data_preprocessor.mean, model.data_preprocessor.std
        fields = {field for term in self.terms.values() for field in term.fields}
        self.facts = {name: model.task.batch_field(data['data_samples'], name).to(device) for name in fields}
        self.kept: dict[str, Any] = {}
        self.made: dict[str, Any] = {}
        self.reads: dict[str, Callable[[], Any]] = {}
        networks = {**members.networks, **dict(model.proxies.items())}
        for network in networks.values():
            _forget_recorders(network)
        aliases = members.aliases()
        sources = [entry.source for entry in plan.derived]
        for text in {tap for part in [*sources, *(term.taps for term in self.terms.values())] for tap in listed(part)}:
            self.reads[text] = self._reader(text, model, networks, aliases)
        self.optimizer = make_optimizer(model)

    def __call__(self) -> None:
        """Take a training step, as mmengine's loop would."""
        self.total(self.losses()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    @staticmethod
    def total(losses: dict[str, Tensor]) -> Tensor:
        """The sum of the losses, which is minimized."""
        return torch.stack([value for name, value in losses.items() if 'loss' in name]).sum()

    def losses(self) -> dict[str, Tensor]:
        """The weighted losses of the batch, by name."""
        images = (self.images.to(self.device, non_blocking=True).float() - self.mean) / self.std
        with torch.no_grad():
            for teacher in self.frozen:
                teacher(images, mode='tensor')
        own = {}
        for name, network in self.learners.items():
            own[name] = network(images, mode='tensor')
        for tap, entry in self.derived.items():
            source = entry.source
            read = self.reads[source]() if entry.raw and isinstance(source, str) else self.value(source)
            self.made[tap] = entry.module(read)
        losses = {}
        for name, term in self.terms.items():
            weight = term.weight * term.factor
            if term.loss is None:
                head = self.learners[term.of].head
                losses[f'{term.of}.loss'] = weight * head.loss_module(own[term.of], self.labels)
                continue
            compared = [self.value(term.of)]
            if term.connector is not None:
                compared[0] = term.connector(compared[0])
            if term.to is not None:
                target = _detached(self.value(term.to))
                compared.append(target if term.to_connector is None else term.to_connector(target))
            losses[f'loss_{name}'] = weight * term.loss(*compared, *(self.facts[field] for field in term.fields))
        if self.adaptive:
            weigh(losses, self.adaptive, self)
        return losses

    def value(self, taps: str | Sequence[str]) -> Any:
        """What a loss reads: a tensor, or a list of them."""
        return _last(self.reads[taps]()) if isinstance(taps, str) else [_last(self.reads[tap]()) for tap in taps]

    def _reader(
        self, text: str, model: Distiller, networks: dict[str, nn.Module], aliases: dict[str, dict[str, Alias]]
    ) -> Callable[[], Any]:
        """How a tap is read; hooks are put where it needs some."""
        name = TapName.parse(text)
        if name.root in model.objective.derived:
            return lambda: _element(self.made[name.root], name.indices)
        layers = model.taps.layers(text)
        for layer in layers:
            part = TapName.parse(layer)
            networks[part.member].get_submodule(part.path).register_forward_hook(partial(self._keep, layer, part))
        alias = aliases.get(name.member, {}).get(name.path)
        if isinstance(alias, Combined):
            return lambda: alias.combine(*(self.kept[layer] for layer in layers))
        if isinstance(alias, tuple):
            return lambda: [self.kept[layer] for layer in layers]
        return lambda: self.kept[layers[0]]

    def _keep(self, layer: str, name: TapName, module: nn.Module, args: tuple, output: Any) -> None:
        seen = {'': output, ':input': args and args[0], ':inputs': args}[name.side]
        self.kept[layer] = _element(seen, name.indices)


def _forget_recorders(network: nn.Module) -> None:
    for module in network.modules():
        for key, hook in list(module._forward_hooks.items()):
            if isinstance(hook, Recorder):
                del module._forward_hooks[key]


def _element(value: Any, indices: Sequence[int]) -> Any:
    for index in indices:
        value = value[index]
    return value


def _last(value: Any) -> Any:
    if isinstance(value, list):
        return [_last(item) for item in value]
    return _last(value[-1]) if isinstance(value, tuple) else value


def _detached(value: Any) -> Any:
    return [_detached(item) for item in value] if isinstance(value, list) else value.detach()
