"""A plain PyTorch loop for any method: the same networks, connectors and losses, without our engine.

It is what one would write by hand for one method: hooks that keep the features which the losses read, a forward pass
of each network, the losses one after the other, ``backward`` and the optimizer's step. It calls the method's own loss
modules and connectors, so that the difference in time is what the engine costs, and copies nothing that it keeps but
what the next layer writes over.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.training import make_optimizer, on_host
from shake_mm.engine import Distiller
from shake_mm.engine.weighting import weigh
from shake_mm.taps.names import Alias, Combined, TapName, listed
from shake_mm.taps.recorder import Recorder
from shake_mm.tasks import ClassificationTask


class MethodLoop:
    """The training steps of one stage of a distiller of classifiers, by hand.

    Args:
        model (Distiller): In its stage and in training mode; its networks lose their recorders, so it
            is of no further use itself.
        data (dict): A batch as the data loader gives it.
        device (str): Device of torch.
    """

    guides: tuple[str, ...] = ()
    """Taps of the student that a teacher's pass reads."""

    def __init__(self, model: Distiller, data: dict, device: str) -> None:
        assert model.plan is not None
        plan, members = model.plan, model.members
        self.frozen = {name: teacher.network for name, teacher in members.frozen.items() if name in plan.members}
        self.views = {name: members.frozen[name].view for name in self.frozen}
        self.labeled = plan.labeled
        self.learners = {
            n: network for n, network in members.learners.items() if n in plan.members or n in plan.labeled
        }
        self.derived = {entry.tap: entry for entry in plan.derived}
        self.terms = {name: model.terms[name] for name in plan.terms}
        self.adaptive, self.device = model.objective.adaptive, device
        self.facts: dict[str, Any] = {}
        self.hold(model, data)
        self.kept: dict[str, Any] = {}
        self.made: dict[str, Any] = {}
        self.reads: dict[str, Callable[[], Any]] = {}
        networks = {**members.networks, **dict(model.proxies.items())}
        for network in networks.values():
            _forget_recorders(network)
        aliases = members.aliases()
        sources = [entry.source for entry in plan.derived]
        read = [*sources, *(term.taps for term in self.terms.values()), *self.guides]
        for text in {tap for part in read for tap in listed(part)}:
            self.reads[text] = self._reader(text, model, networks, aliases)
        self.optimizer = make_optimizer(model)

    def hold(self, model: Distiller, data: dict) -> None:
        """Put the batch, and what losses read of it, where it is needed."""
        self.images = on_host(data['inputs'], self.device)
        self.labels = torch.cat([sample.gt_label for sample in data['data_samples']]).to(self.device)
        self.mean, self.std = model.data_preprocessor.mean, model.data_preprocessor.std
        for name in {field for term in self.terms.values() for field in term.fields}:
            self.facts[name] = model.task.batch_field(data['data_samples'], name).to(self.device)

    def __call__(self) -> None:
        """Take a training step, as mmengine's loop would."""
        self.total(self.losses()).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    @staticmethod
    def total(losses: dict[str, Tensor]) -> Tensor:
        """The sum of the losses, which is minimized."""
        counted = [value for name, value in losses.items() if 'loss' in name]
        values = [one for value in counted for one in (value if isinstance(value, list) else [value])]
        return torch.stack([value.mean() for value in values]).sum()

    def run(self) -> dict[str, dict[str, Any]]:
        """Run all networks once; the losses of their own from the labels, by member."""
        images = (self.images.to(self.device, non_blocking=True).float() - self.mean) / self.std
        with torch.no_grad():
            for name, teacher in self.frozen.items():
                teacher(self.views[name](images), mode='tensor')
        own = {}
        for name, network in self.learners.items():
            logits = network(images, mode='tensor')
            if name in self.labeled:
                own[name] = {'loss': network.head.loss_module(logits, self.labels)}
        return own

    def losses(self) -> dict[str, Tensor]:
        """The weighted losses of the batch, by name."""
        self.kept.clear()
        own = self.run()
        for tap, entry in self.derived.items():
            source = entry.source
            read = self.reads[source]() if entry.raw and isinstance(source, str) else self.value(source)
            self.made[tap] = entry.module(read)
        losses = {}
        for name, term in self.terms.items():
            weight = term.weight * term.factor
            if term.loss is None:
                losses |= {f'{term.of}.{key}': _weighted(weight, value) for key, value in own[term.of].items()}
                continue
            compared = [self.value(term.of)]
            if term.connector is not None:
                compared[0] = term.connector(compared[0])
            if term.to is not None:
                target = _detached(self.value(term.to))
                compared.append(target if term.to_connector is None else term.to_connector(target))
            extra = {} if term.reference is None else {'reference': _detached(self.value(term.reference))}
            value = term.loss(*compared, *(self.facts[field] for field in term.fields), **extra)
            losses[f'loss_{name}'] = weight * value
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
            module = networks[part.member].get_submodule(part.path)
            module.register_forward_hook(partial(self._keep, layer, part), with_kwargs=True)
        alias = aliases.get(name.member, {}).get(name.path)
        if isinstance(alias, Combined):
            return lambda: _element(self._combined(text, alias, layers), name.indices)
        if isinstance(alias, tuple) and not name.indices:
            return lambda: [self.kept[layer] for layer in layers]
        return lambda: self.kept[layers[0]]

    def _combined(self, text: str, alias: Combined, layers: Sequence[str]) -> Any:
        """What is made of several layers, once a step."""
        if text not in self.kept:
            self.kept[text] = alias.combine(*(self.kept[layer] for layer in layers))
        return self.kept[text]

    def _keep(self, layer: str, name: TapName, module: nn.Module, args: tuple, named: dict, output: Any) -> None:
        if name.side == ':each':  # a layer of all levels; what follows it may write over what it made
            self.kept.setdefault(layer, []).append(output.clone())
            return
        seen = {'': output, ':input': args and args[0], ':inputs': args, ':named': named}[name.side]
        self.kept[layer] = _element(seen, name.indices)


class SceneLoop(MethodLoop):
    """The same for detectors and segmentors: the packages' own preprocessors and losses, and the passes of a task.

    A teacher's pass is the task's two functions, which call the network's ``extract_feat`` and its head on that.
    """

    def hold(self, model: Distiller, data: dict) -> None:
        """Keep the batch as the data loader gives it: the packages' preprocessors turn it into images and targets."""
        assert model.plan is not None
        self.data = {**data, 'inputs': [on_host(image, self.device) for image in data['inputs']]}
        self.preprocessor, self.task, plan = model.data_preprocessor, model.task, model.plan
        self.noted = plan.noted
        self.headed = {
            name: self.task.logits_only(network) if plan.headed[name] else nullcontext()
            for name, network in self.frozen.items()
            if name in plan.headed
        }
        taps = [tap for term in self.terms.values() for tap in term.taps]
        self.guides = tuple(self.task.guides_of(taps)) if self.headed else ()

    def run(self) -> dict[str, dict[str, Any]]:
        """Run teachers, learners, and the teachers' heads that wait for them."""
        batch = self.preprocessor(self.data, True)
        inputs, samples = batch['inputs'], batch['data_samples']
        with torch.no_grad():
            views = {name: view(inputs, samples) for name, view in self.views.items()}
            passed = {name: self.task.forward_view(net, views[name], samples) for name, net in self.frozen.items()}
        own, self.facts = {}, {'data_samples': samples}
        for name, network in self.learners.items():
            if name not in self.labeled:
                self.task.forward(network, inputs, self)
                continue
            with self.task.noting(network, self.noted if name == 'student' else ()) as noted:
                own[name] = self.task.loss(network, inputs, samples)
            self.facts |= noted
        with torch.no_grad():
            for name, shortened in self.headed.items():
                with shortened:
                    self.task.forward_head(self.frozen[name], passed[name], self)
        for field in {field for term in self.terms.values() for field in term.fields} - self.facts.keys():
            self.facts[field] = self.task.batch_field(samples, field)
        return own

    def is_read(self, tap: str) -> bool:
        """Whether a tap is kept, as a task asks."""
        return tap in self.reads


def plain_loop(model: Distiller, data: dict, device: str) -> MethodLoop:
    """The loop for a distiller's stage; see :class:`MethodLoop` for the arguments."""
    kind = MethodLoop if isinstance(model.task, ClassificationTask) else SceneLoop
    return kind(model, data, device)


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


def _weighted(weight: float, value: Any) -> Any:
    return [weight * one for one in value] if isinstance(value, list) else weight * value


def _detached(value: Any) -> Any:
    return [_detached(item) for item in value] if isinstance(value, list) else value.detach()
