"""One process that does what each of several would: a replica per rank, a thread per replica."""

import copy
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
import torch
from mmengine.hooks import Hook

from shake_mm.datasets.seeded import seed_generators
from shake_mm.loops.exact import ITERATION

# Not by attributes: a function of the package has the name of its module.
COMMUNICATING = [import_module(f'shake_mm.{name}') for name in ('losses.crd', 'losses.dense_kl', 'engine.weighting')]


class Ranks:
    """Collective operations among threads, one thread a rank; they take turns, as they share random generators."""

    def __init__(self, world):
        self.world = world
        self._place, self._turn, self._meeting = threading.local(), threading.Lock(), threading.Barrier(world)
        self._given = [None] * world

    def run(self, work):
        """The results of ``work(rank)`` by rank."""

        def as_rank(rank):
            self._place.rank = rank
            torch.set_num_threads(1)
            with self._turn:
                try:
                    return work(rank)
                except BaseException:
                    self._meeting.abort()
                    raise

        with ThreadPoolExecutor(self.world) as pool:
            return list(pool.map(as_rank, range(self.world)))

    def all_gather(self, tensor):
        self._given[self._place.rank] = tensor.clone()
        self._meet()
        found = list(self._given)
        self._meet()
        return found

    def all_reduce(self, tensor, op='sum'):
        found = torch.stack(self.all_gather(tensor))
        tensor.copy_({'sum': torch.sum, 'mean': torch.mean}[op](found, 0))

    def _meet(self):
        self._turn.release()
        try:
            self._meeting.wait()
        finally:
            self._turn.acquire()


class Emulation(Hook):
    """Replaces the training step of a runner by that of ``world`` processes.

    Rank r gets what a ``DefaultSampler`` gives it of the joint batch, every world-th sample, and random numbers of its
    own. Each replica has buffers of its own (BatchNorm), all have the same parameters, gradients are averaged.
    ``shares`` and ``divisor`` are for mistakes: other samples for the ranks, another quotient than their number.
    """

    priority = 'LOWEST'

    def __init__(self, world, shares=None, divisor=None):
        self.ranks, self.world, self.divisor = Ranks(world), world, divisor or world
        self.shares = shares or (lambda batch, rank: batch[rank::world])

    def before_train(self, runner):
        self.runner, model = runner, runner.model
        self.replicas = [model, *(copy.deepcopy(model) for _ in range(self.world - 1))]
        model.train_step = self.step

    @torch.no_grad()
    def finished(self):
        """The replicas, with the parameters that the optimizer has made of the first's."""
        for replica in self.replicas[1:]:
            for copied, parameter in zip(replica.parameters(), self.replicas[0].parameters()):
                copied.copy_(parameter)
        return self.replicas

    def step(self, data, optim_wrapper):
        parameters = [list(replica.parameters()) for replica in self.finished()]
        for copied in itertools.chain(*parameters[1:]):
            copied.grad = None
        with pytest.MonkeyPatch.context() as patch:
            for module in COMMUNICATING:
                patch.setattr(module, 'all_reduce', self.ranks.all_reduce)
            patch.setattr(COMMUNICATING[0], 'all_gather', self.ranks.all_gather)
            logs = self.ranks.run(lambda rank: self.backward(data, rank))
        for mine in zip(*parameters):
            gradients = [parameter.grad for parameter in mine]
            assert len({gradient is None for gradient in gradients}) == 1
            mine[0].grad = None if gradients[0] is None else sum(gradients) / self.divisor
        optim_wrapper.step()
        optim_wrapper.zero_grad()
        return logs[0]

    def backward(self, data, rank):
        loop, model = self.runner.train_loop, self.replicas[rank]
        seed_generators(loop.seed, ITERATION, loop.iter, rank)
        model.train()
        share = {key: self.shares(batch, rank) for key, batch in data.items()}
        losses = model._run_forward(model.data_preprocessor(share, True), mode='loss')
        loss, log = model.parse_losses(losses)
        loss.backward()
        return log
