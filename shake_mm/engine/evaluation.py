"""Stand-ins for a distiller in the loops of validation and test, where more than the student is to be measured."""

import copy
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..utils import unwrap_model
from .distiller import Distiller


class StandIn:
    """What a loop calls in a distiller's place; all but the evaluation is the distiller's own.

    Args:
        model (nn.Module): The run's model, a :class:`Distiller`, perhaps in a distributed wrapper.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.distiller: Distiller = unwrap_model(model)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def test_step(self, data: Any) -> list:
        """Samples with predictions for a batch, as :meth:`val_step`."""
        return self.val_step(data)

    def val_step(self, data: Any) -> list:
        """Samples with predictions for a batch, as :meth:`mmengine.model.BaseModel.val_step` gives them."""
        batch = self.distiller.data_preprocessor(data, False)
        pair = (batch['inputs'], batch['data_samples']) if isinstance(batch, Mapping) else batch
        return self.evaluate(*pair)

    def evaluate(self, inputs: Tensor, data_samples: list) -> list:
        """Samples with the student's predictions for a preprocessed batch (N, C, H, W)."""
        return self.distiller(inputs, data_samples, mode='predict')


class MemberEvaluation(StandIn):
    """The student's predictions, and beside them the logits of every member (classifiers only).

    Args:
        model (nn.Module): See :class:`StandIn`.
        cache (dict): Keeps the frozen teachers' logits on the CPU, so that they are computed once a run.
        loop (str): Which data are evaluated, ``'val'`` or ``'test'``.
    """

    def __init__(self, model: nn.Module, cache: MutableMapping[tuple, Tensor], loop: str) -> None:
        super().__init__(model)
        self.cache, self.loop, self.batch = cache, loop, 0

    def evaluate(self, inputs: Tensor, data_samples: list) -> list:
        """The samples, with the field that :meth:`Task.attach_logits` fills."""
        members, objective = self.distiller.members, self.distiller.objective
        read, batch = objective.trace_proxies().members, self.batch
        self.batch += 1
        with objective.taps.recording() as taps:
            samples = self.distiller(inputs, data_samples, mode='predict')
            logits = {'student': taps.tensor('student.logits')}
            for name, peer in members.peers.items():
                members.task.forward_trunk(peer, members.view(name, inputs, data_samples))
                logits[name] = taps.tensor(f'{name}.logits')
            for name, teacher in members.frozen.items():
                key = (self.loop, batch, name)
                if key not in self.cache or name in read:
                    teacher.forward_head(teacher(inputs), taps)
                    self.cache[key] = taps.tensor(f'{name}.logits').cpu()
                logits[name] = self.cache[key]
            for entry in objective.trace_proxies().derived:
                entry.compute(taps)
            logits |= {name: taps.tensor(f'{name}.logits') for name in objective.proxies}
            members.task.attach_logits(members.student, samples, logits)
        return samples


class MemberPredictions(StandIn):
    """The student's predictions, and beside them those of other members, which each makes for itself.

    Nothing is kept from pass to pass: the predictions of a segmentor are as large as its images.

    Args:
        model (nn.Module): See :class:`StandIn`.
        names (sequence of str, optional): The other members. Defaults to all there are.
        own (StandIn, optional): Makes the student's samples. Without it they are its predictions, with those of the
            others in the field that :meth:`Task.attach_predictions` fills.
    """

    def __init__(self, model: nn.Module, names: Sequence[str] | None = None, own: StandIn | None = None) -> None:
        super().__init__(model)
        self.names = others_of(self.distiller) if names is None else names
        self.own = own
        self.predicted: dict[str, Sequence[Any]] = {}
        """Samples with the predictions for the last batch, by member."""

    @torch.no_grad()
    def evaluate(self, inputs: Tensor, data_samples: list) -> list:
        """The samples that ``own`` makes, or the student's predictions with those of the others."""
        self.predicted = {}
        for name in self.names:  # before the student's: a prediction is put into its samples
            predictor = MemberPredictor(self.model, name)
            self.predicted[name] = predictor.evaluate(inputs, copy.deepcopy(data_samples))
        if self.own is not None:
            return self.own.evaluate(inputs, data_samples)
        samples = super().evaluate(inputs, data_samples)
        self.distiller.members.task.attach_predictions(samples, self.predicted)
        return samples


class MemberPredictor(StandIn):
    """Another member's predictions; a proxy's are the student's with the proxy's logits.

    Args:
        model (nn.Module): See :class:`StandIn`.
        member (str): A teacher, a proxy, or ``'student'``.

    Raises:
        UsageError: If there is no such member.
    """

    def __init__(self, model: nn.Module, member: str) -> None:
        super().__init__(model)
        known = (*self.distiller.members.networks, *self.distiller.objective.proxies)
        if member not in known:
            raise UsageError(f"member '{member}' does not exist: the members are {', '.join(known)}.")
        self.member = member

    @torch.no_grad()
    def evaluate(self, inputs: Tensor, data_samples: list) -> list:
        """The samples with the member's predictions."""
        members, objective = self.distiller.members, self.distiller.objective
        if self.member in members.frozen:
            return members.frozen[self.member].predict(inputs, data_samples)
        if self.member in members.learners:
            view = members.view(self.member, inputs, data_samples)
            return members.learners[self.member](view, data_samples, mode='predict')
        proxy = objective.proxies[self.member]
        with objective.taps.recording() as taps, members.task.answering(members.student, proxy, taps):
            for name in objective.trace_proxies([self.member]).members & members.frozen.keys():
                members.frozen[name](inputs)
            return members.student(inputs, data_samples, mode='predict')


def others_of(model: Distiller) -> list[str]:
    """Names of the teachers and proxies of a distiller."""
    return [name for name in (*model.members.networks, *model.objective.proxies) if name != 'student']
