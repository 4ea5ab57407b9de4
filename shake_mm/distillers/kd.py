"""Knowledge distillation (Hinton et al., 2015), Eq. 1 of the SHAKE paper."""

from collections.abc import Mapping
from typing import Any

from ..engine import Distiller
from ..engine.term_config import divergence_of, merge_terms
from ..registry import MODELS


@MODELS.register_module()
class KD(Distiller):
    r"""The student learns from the labels and from frozen teachers.

    .. math::
        L = \alpha L_{CE}(f_S, Y) + \lambda \sum_i w_i L_{KL}(f_S, f_{T_i})

    The CRD benchmark's form (Table 4) is ``alpha=0.1, lam=0.9``.

    Args:
        student (str | dict): The network to train.
        teachers (list | dict): One or several trained networks.
        tau (float, optional): Temperature. Defaults to what was measured to help the student's task: 4, and 1 for
            detectors that classify boxes.
        lam (float): :math:`\lambda`. Defaults to 1.
        alpha (float): Weight of the student's own loss. Defaults to 1.
        weighting (str): ``'mean'`` (:math:`w_i = 1/N`, the paper's AVER), ``'sum'`` (:math:`w_i = 1`) or ``'aekd'``
            (by their gradients, see :mod:`~shake_mm.engine.weighting`). Defaults to ``'mean'``.
        divergence (dict, optional): What compares logits, e.g. ``dict(type='AlphaDivLoss')``. Defaults to what fits the
            student: KL of softened logits, for dense detectors :class:`~shake_mm.losses.DenseKLLoss`.
        terms (dict, optional): Terms to change (by key), drop (None) or add.
        setting (str, optional): ``'paper'`` for what the papers set where a detector's default is another one:
            :math:`\tau = 4`, every box alike, and for FCOS four times the divergence. Defaults to None, what was
            measured to help.
        **kwargs: See :class:`Distiller`.
    """

    knobs = {'task': 'alpha', 'student_from_teacher': 'lam'}

    def __init__(
        self,
        student: Any,
        teachers: Any,
        tau: float | None = None,
        lam: float = 1.0,
        alpha: float = 1.0,
        weighting: str = 'mean',
        divergence: dict | None = None,
        terms: Mapping | None = None,
        setting: str | None = None,
        **kwargs: Any,
    ) -> None:
        defaults = {
            'task': {'of': 'student', 'weight': alpha},
            'student_from_teacher': {
                'of': 'student.logits',
                'to': 'teacher*.logits',
                'loss': divergence_of(tau, divergence, setting),
                'weight': lam,
                'weighting': weighting,
            },
        }
        super().__init__(student, teachers, terms=merge_terms(defaults, terms), **kwargs)
