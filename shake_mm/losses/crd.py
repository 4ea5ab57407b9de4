"""Contrastive representation distillation (CRD; Tian et al., ICLR 2020), as the CRD benchmark computes it."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import all_gather, all_reduce
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from ..compat.torch_names import autocast_off
from ..errors import UsageError
from ..registry import MODELS
from .pair import full_precision

INIT_SEED = 0
WHOLE = 500_000
"""Samples up to which a product with the whole memory is faster than to gather the rows of the batch."""
GATHERED = 2**24
"""Numbers that are gathered at once, of a larger memory."""


@full_precision
def crd_nce(log_p: Tensor, num_samples: int, eps: float = 1e-7) -> Tensor:
    r"""Noise-contrastive estimation of one positive against :math:`m` negatives (Eq. 18 of CRD).

    .. math::
        L = -\frac{1}{N} \sum_i \Big[ \log \frac{P_{i0}}{P_{i0} + m P_n + \epsilon}
            + \sum_{k=1}^{m} \log \frac{m P_n}{P_{ik} + m P_n + \epsilon} \Big], \quad P_n = 1 / n

    Both fractions are logistic functions of :math:`\log P`, so a probability too small for a float costs neither the
    value nor the gradient. Half-precision scores are summed in float32.

    Args:
        log_p (Tensor): :math:`\log P`, the positive in column 0, shape (N, m + 1).
        num_samples (int): :math:`n`, the number of training samples, from which the noise is drawn.
        eps (float): :math:`\epsilon`. Defaults to 1e-7.

    Returns:
        Tensor: A scalar.

    Example:
        >>> crd_nce(torch.tensor([[0.5, 0.5]]).log(), num_samples=2)
        tensor(1.3863)
    """
    negatives = log_p.shape[1] - 1
    noise = negatives / num_samples
    margin = log_p - math.log(noise + eps)
    log_ratios = F.logsigmoid(margin[:, 0]).sum() + F.logsigmoid(-margin[:, 1:]).sum()
    # The numerator of the negatives' fraction lacks the eps of its denominator.
    return negatives * math.log1p(eps / noise) - log_ratios / len(log_p)


class Known(Function):
    """A loss whose gradient with respect to embeddings was computed with it."""

    @staticmethod
    def forward(ctx: Any, embedding: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        """The value, with its gradient kept for later."""
        ctx.save_for_backward(slope)
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The gradient with respect to the embeddings, shape (N, dim)."""
        return gradient * ctx.saved_tensors[0], None, None


def _length(index: Tensor, dim: int) -> int:
    """How many samples of a batch gather no more than so many numbers, at least one."""
    return max(1, GATHERED // max(1, index.shape[1] * dim))


def _parts(index: Tensor, dim: int) -> Iterator[slice]:
    """The samples of a batch, so many at a time."""
    step = _length(index, dim)
    for start in range(0, len(index), step):
        yield slice(start, start + step)


@MODELS.register_module()
class CRDLoss(nn.Module):
    r"""Contrast embeddings of one network with remembered embeddings of the other, in both directions.

    Two memories hold a running embedding of every training sample, :math:`m^S_j` of the student and :math:`m^T_j` of
    the teacher. With the scores of the sample's own row (the positive) and of rows of other classes (the negatives)

    .. math::
        P^S_{ik} = \exp(s_i \cdot m^T_{c_{ik}} / \tau) / Z^S, \quad P^T_{ik} = \exp(t_i \cdot m^S_{c_{ik}} / \tau) / Z^T

    the loss is :func:`crd_nce` of both, summed. :math:`Z` is :math:`n` times the mean exponential of the first training
    batch, constant from then on. A training step ends with :math:`m_i \leftarrow \mu m_i + (1 - \mu) e_i`, scaled to
    unit length. The embeddings of both networks learn, so the gradient reaches both.

    All scores come from one product with the whole memory, of which the batch's columns are then picked. To gather the
    (N, m + 1, dim) rows first takes 15 times as long and ten times the memory (N=64, m=16384, n=50000, dim=128, one CPU
    core); beyond some 500000 samples it is faster, and is what a larger set does: a few samples of the batch at a time,
    once for the scores and once for their gradient, so that beside the memories nothing grows with the set.

    Under distributed training the embeddings of all processes enter every memory, and :math:`Z` is the mean of theirs:
    memories begin equal, whatever the processes' seeds, and stay equal. Where a sample occurs twice in a batch, the
    last counts. Scores are computed in float32 under autocast. In evaluation mode nothing is remembered.

    Args:
        num_samples (int): :math:`n`, the length of the training set, which the indices refer to.
        dim (int): Width of the embeddings. Defaults to 128.
        temperature (float): :math:`\tau`, larger than 0. Defaults to 0.07.
        momentum (float): :math:`\mu`, in [0, 1). Defaults to 0.5.
        loss_weight (float): Factor; the benchmark uses 0.8. Defaults to 1.

    Raises:
        UsageError: If an argument is outside its range.
    """

    def __init__(
        self,
        num_samples: int,
        dim: int = 128,
        temperature: float = 0.07,
        momentum: float = 0.5,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if num_samples <= 0:
            raise UsageError(f'num_samples={num_samples} of CRDLoss must be the length of the training set.')
        if dim <= 0:
            raise UsageError(f'dim={dim} of CRDLoss must be the width of the embeddings, 1 or more.')
        if not temperature > 0:
            raise UsageError(f'temperature={temperature} of CRDLoss must be larger than 0.')
        if not 0 <= momentum < 1:
            raise UsageError(f'momentum={momentum} of CRDLoss must be at least 0 and less than 1.')
        self.num_samples, self.temperature = num_samples, temperature
        self.momentum, self.loss_weight = momentum, loss_weight
        generator, bound = torch.Generator().manual_seed(INIT_SEED), 1 / math.sqrt(dim / 3)
        for name in ('memory_student', 'memory_teacher'):
            rows = torch.rand(num_samples, dim, generator=generator)
            self.register_buffer(name, (2 * rows - 1) * bound)
        # Z / n of the student's and the teacher's scores, negative before the first batch: Z itself overflows float16.
        self.register_buffer('mean_score', torch.full((2,), -1.0))

    def forward(self, student: Tensor, teacher: Tensor, contrast_idx: Tensor, own_idx: Tensor) -> Tensor:
        """Evaluate the loss and, in training mode, remember the embeddings.

        Args:
            student (Tensor): Embeddings of the student, of unit length, shape (N, dim).
            teacher (Tensor): Embeddings of the teacher, of unit length, shape (N, dim).
            contrast_idx (Tensor): Rows to contrast with, int64, each in [0, n): the positive in column 0, then the
                negatives, shape (N, m + 1).
            own_idx (Tensor): Rows of the samples themselves, which remember them, int64, shape (N, ). With
                ``mode='relax'`` of :class:`~shake_mm.datasets.ContrastDataset` the positives are others.

        Returns:
            Tensor: A scalar.

        Raises:
            UsageError: If the shapes do not fit.
        """
        self._check_shapes(student, teacher, contrast_idx, own_idx)
        with autocast_off(student.device.type):
            dtype = torch.promote_types(student.dtype, torch.float32)
            student, teacher = student.to(dtype), teacher.to(dtype)
            scores = (
                self._scores(student, self.memory_teacher, contrast_idx),
                self._scores(teacher, self.memory_student, contrast_idx),
            )
            log_z = self._mean_score(scores).log() + math.log(self.num_samples)
            sides = ((student, self.memory_teacher), (teacher, self.memory_student))
            losses = [self._nce(s, z, *side, contrast_idx) for s, z, side in zip(scores, log_z, sides)]
            if self.training:
                self._remember(student, teacher, own_idx)
        return self.loss_weight * sum(losses)

    def _check_shapes(self, student: Tensor, teacher: Tensor, contrast_idx: Tensor, own_idx: Tensor) -> None:
        """Raise a UsageError that names the key to fix; values of indices cannot be read without a sync."""
        dim = self.memory_student.shape[1]
        for name, embedding in (('student', student), ('teacher', teacher)):
            if embedding.dim() != 2 or embedding.shape[1] != dim:
                raise UsageError(
                    f'dim={dim} of CRDLoss does not fit the {name} embeddings of shape {tuple(embedding.shape)}: '
                    f'they must be (N, {dim}).'
                )
        if contrast_idx.dim() != 2 or contrast_idx.shape[1] < 2:
            raise UsageError(
                f'contrast_idx of CRDLoss has shape {tuple(contrast_idx.shape)} but must be (N, 1 + negatives): '
                'wrap the training set in ContrastDataset.'
            )
        if own_idx.dim() != 1 or len({len(part) for part in (student, teacher, contrast_idx, own_idx)}) > 1:
            raise UsageError(
                f'CRDLoss got {len(student)} student and {len(teacher)} teacher embeddings, contrast_idx of shape '
                f'{tuple(contrast_idx.shape)} and own_idx of shape {tuple(own_idx.shape)}: give one of each a sample.'
            )

    def _scores(self, embedding: Tensor, memory: Tensor, contrast_idx: Tensor) -> Tensor:
        """Return the products of embeddings (N, dim) with their rows of the memory, over tau, shape (N, m + 1)."""
        if len(memory) > WHOLE:
            with torch.no_grad():
                rows = (memory[contrast_idx[part]].to(embedding) for part in _parts(contrast_idx, memory.shape[1]))
                scaled = (embedding / self.temperature).split(_length(contrast_idx, memory.shape[1]))
                return torch.cat([torch.bmm(own, x.unsqueeze(2)).squeeze(2) for own, x in zip(rows, scaled)])
        # The backward pass needs the memory as it is now, before this step's update: hence a copy.
        memory = memory.to(embedding.dtype, copy=True)
        return ((embedding / self.temperature) @ memory.t()).gather(1, contrast_idx)

    def _nce(self, scores: Tensor, log_z: Tensor, embedding: Tensor, memory: Tensor, contrast_idx: Tensor) -> Tensor:
        """The loss of one direction; of rows that were gathered its gradient too, before this step changes them."""
        if len(memory) <= WHOLE:
            return crd_nce(scores - log_z, self.num_samples)
        with torch.enable_grad():
            scores.requires_grad_()
            value = crd_nce(scores - log_z, self.num_samples)
            (slope,) = torch.autograd.grad(value, scores)
        if not torch.is_grad_enabled():
            return value.detach()
        found = torch.empty_like(embedding)
        for part in _parts(contrast_idx, memory.shape[1]):
            rows = memory[contrast_idx[part]].to(embedding.dtype)
            found[part] = torch.bmm(slope[part].unsqueeze(1), rows).squeeze(1)
        return Known.apply(embedding, value.detach(), found / self.temperature)

    @torch.no_grad()
    def _mean_score(self, scores: tuple[Tensor, Tensor]) -> Tensor:
        """Return Z / n of both directions, shape (2, ), which the first training batch fixes."""
        mean = torch.stack([score.exp().mean() for score in scores])
        # Embeddings that are not of unit length may give numbers that have no finite logarithm.
        numbers = torch.finfo(self.mean_score.dtype)
        mean = mean.clamp(numbers.tiny, numbers.max)
        if self.training:
            all_reduce(mean, op='mean')
        # Whether this is the first batch is only known on the device; the host does not wait for it.
        mean = torch.where(self.mean_score < 0, mean, self.mean_score.to(mean.dtype))
        if self.training:
            self.mean_score.copy_(mean)
        return mean

    @torch.no_grad()
    def _remember(self, student: Tensor, teacher: Tensor, own_idx: Tensor) -> None:
        """Move the rows of all processes' samples towards their embeddings."""
        student, teacher, own_idx = (torch.cat(all_gather(x.contiguous())) for x in (student, teacher, own_idx))
        # All copies of a sample write the embedding of the last, so the result does not depend on who writes first.
        places = torch.arange(len(own_idx), device=own_idx.device)
        last = torch.where(own_idx[:, None] == own_idx, places, -1).amax(1)
        for memory, embedding in ((self.memory_student, student), (self.memory_teacher, teacher)):
            rows = self.momentum * memory[own_idx] + (1 - self.momentum) * embedding[last]
            memory.index_copy_(0, own_idx, F.normalize(rows).to(memory.dtype))
