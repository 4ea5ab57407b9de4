r"""Adaptive weights of several teachers: AEKD (Du et al., NeurIPS 2020).

"Agree to Disagree: Adaptive Ensemble Knowledge Distillation in Gradient Space" looks for the direction that all the
teachers agree on. In a mini-batch whose loss towards teacher :math:`i` has the gradient :math:`g_i` with respect to the
logits of the student, the teachers count

.. math::
    w = \arg\min_w \Big\| \sum_i w_i g_i \Big\|^2
    \quad \text{subject to} \quad \sum_i w_i = 1, \; 0 \le w_i \le \max(0.6, 1/N)

Without the cap the least combination is a descent direction for every teacher. The cap tolerates some disagreement,
lest the teacher with the smallest gradient, whom the student resembles most, gets all the weight. The authors' public
code averages each gradient over the batch and normalizes it first; here they count as they are, sample by sample.

The gradients end at the logits, so that the network has no second backward pass, and everything stays on its device.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from ..errors import UsageError
from ..taps import Taps, listed

CAP = 0.6
MOST = 6
"""Teachers whose 3^N active sets are worth trying out."""
FREE, ZERO, CAPPED = range(3)
TIE, TIE_OF_ZEROS = 1e-9, 1e-12
SLACK = 1e-9
SCALE = 1024.0
"""Factor of the gradients, as a loss scaler's: those of a mean are tiny in half precision. It cancels."""


class Group(NamedTuple):
    """Terms, one a teacher, that share what learns.

    Args:
        of (str | list[str]): The tap that learns.
        terms (tuple[str]): Their names.
    """

    of: str | list[str]
    terms: tuple[str, ...]


def adaptive_groups(
    configs: Mapping[str, dict | None] | None, terms: Mapping[str, nn.Module], origins: Mapping[str, str]
) -> list[Group]:
    """The terms whose config says ``weighting='aekd'``: of each, one group for every tap that learns.

    Args:
        configs (dict, optional): Terms by name, as in the config.
        terms (dict): The written-out terms by name.
        origins (dict): Names in the config by the written-out ones.

    Raises:
        UsageError: If there are too many teachers, or a name cannot be logged.
    """
    adaptive = [name for name, config in (configs or {}).items() if (config or {}).get('weighting') == 'aekd']
    groups: dict[tuple, Group] = {}
    for name, origin in origins.items():
        if origin in adaptive:
            key = (origin, *listed(terms[name].of))
            earlier = groups[key].terms if key in groups else ()
            groups[key] = Group(terms[name].of, (*earlier, name))
            _check_number(len(groups[key].terms))
            if 'loss' in origin:  # mmengine adds up all entries that are named so
                raise UsageError(f"terms.{origin}: leave 'loss' out of its name, under which its weights are logged.")
    return list(groups.values())


def weigh(losses: dict[str, Tensor], groups: Iterable[Group], taps: Taps) -> None:
    """Weigh the losses of each group, in place, and enter the weights as ``weight_{term}``.

    Terms that the current stage leaves out do not count, and one alone keeps its value as it is.

    Args:
        losses (dict): Scalars by log name.
        groups (list[Group]): See :func:`adaptive_groups`.
        taps (Taps): The recorded taps of this step.
    """
    for group in groups:
        names = [name for name in group.terms if f'loss_{name}' in losses]
        if len(names) > 1:
            values = [losses[f'loss_{name}'] for name in names]
            weights = min_norm_weights(gram_of(values, tensors(taps.value(group.of))), cap_of(len(names)))
            for name, value, weight in zip(names, values, weights):
                losses[f'loss_{name}'] = value * weight.to(value.dtype)
                losses[f'weight_{name}'] = weight.float()


def cap_of(number: int) -> float:
    """The largest weight of one of ``number`` teachers."""
    return max(CAP, 1 / number)


def gram_of(values: Sequence[Tensor], inputs: Sequence[Tensor]) -> Tensor:
    """Inner products of the values' gradients, up to a common factor.

    In a distributed run every process has those of the joined batch: they are summed, since each process holds the rows
    of its own samples.

    Args:
        values (list[Tensor]): The N losses.
        inputs (list[Tensor]): What to differentiate them by.

    Returns:
        Tensor: (N, N), float64.
    """
    gradients = []
    for value in values:
        parts = torch.autograd.grad(
            value, inputs, torch.full_like(value, SCALE), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        gradients.append(torch.cat([part.double().flatten() for part in parts]))
    stacked = torch.stack(gradients)
    gram = stacked @ stacked.T
    all_reduce(gram)
    return gram


def min_norm_weights(gram: Tensor, cap: float) -> Tensor:
    r"""Solve :math:`\min_w w^\top G w` subject to :math:`\sum_i w_i = 1` and :math:`0 \le w_i \le cap`.

    At the minimum each weight is 0, or at the cap, or free. For each of these :math:`3^N` cases the conditions of
    Karush, Kuhn and Tucker are one linear system; all are solved at once, and the best feasible solution is the
    minimum. Where several are equally good, as with teachers that are the same, a tiny ridge prefers equal weights.

    Args:
        gram (Tensor): :math:`G` (N, N), positive semidefinite.
        cap (float): The largest weight, at least 1 / N.

    Returns:
        Tensor: :math:`w` (N,), float64, on the device of ``gram``. No host synchronization takes place.

    Raises:
        UsageError: If there are more than six.
    """
    number = len(gram)
    _check_number(number)
    states = _active_sets(number, gram.device)
    free, bounds = (states == FREE).double(), cap * (states == CAPPED).double()
    gram = gram.detach().double()
    gram = gram / gram.diagonal().max().clamp_min(torch.finfo(gram.dtype).tiny)
    gram = gram + torch.diag(TIE * gram.diagonal() + TIE_OF_ZEROS)

    # Rows of free weights: (G w)_i + mu = 0, with what is fixed on the right; the others are 1 * w_i = bound.
    system = gram.new_zeros(len(states), number + 1, number + 1)
    system[:, :number, :number] = free[:, :, None] * free[:, None, :] * gram + torch.diag_embed(1 - free)
    system[:, :number, number] = system[:, number, :number] = free
    target = torch.cat([bounds - free * (bounds @ gram), 1 - bounds.sum(1, keepdim=True)], dim=1)
    weights = torch.linalg.solve_ex(system, target).result[:, :number]

    feasible = ((weights > -SLACK) & (weights < cap + SLACK)).all(dim=1)
    objective = ((weights @ gram) * weights).sum(dim=1).masked_fill(~feasible, torch.inf)
    best = objective.argmin(dim=0, keepdim=True)
    return weights.index_select(0, best).squeeze(0).clamp(0, cap)


@cache
def _active_sets(number: int, device: torch.device) -> Tensor:
    """Every assignment of states to weights (S, N) in which one is free at least: their sum leaves no choice to it."""
    sets = [states for states in product((FREE, ZERO, CAPPED), repeat=number) if FREE in states]
    return torch.tensor(sets, device=device)


def tensors(value: Tensor | Sequence) -> list[Tensor]:
    """A tensor, or all in a list of lists, as a list."""
    return [value] if isinstance(value, Tensor) else [tensor for item in value for tensor in tensors(item)]


def _check_number(number: int) -> None:
    if number > MOST:
        raise UsageError(
            f"weighting='aekd' is for up to {MOST} teachers, but there are {number}: use 'mean' or fewer of them."
        )
