"""SHAKE: Shadow Knowledge Distillation (Li and Jin, NeurIPS 2022)."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..engine import Distiller
from ..engine.term_config import divergence_of, merge_terms
from ..registry import MODELS


@MODELS.register_module()
class SHAKE(Distiller):
    r"""A proxy teacher mimics each frozen teacher and distills mutually with the student.

    .. math::
        L_S &= L_{CE}(f_S, Y) + \lambda \sum_i w_i L_{KL}(f_S, f_{T'_i}) \\
        L_{T'} &= \sum_i \big[ L_{KL}(f_{T'_i}, f_{T_i}) + \lambda L_{KL}(f_{T'_i}, f_S) \big]

    The second argument of each divergence is a target and detached; the proxies see no labels. By default a proxy is
    a :class:`~shake_mm.proxies.ShadowHead` on the student's backbone, which the gradients of both sums reach.

    Args:
        student (str | dict): The network to train.
        teachers (list | dict): One or several trained networks, each with a proxy of its own (Eq. 6).
        tau (float, optional): Temperature. Defaults to what was measured to help the student's task: 4, and 1 for
            detectors that classify boxes.
        lam (float): :math:`\lambda`. Defaults to 1; the paper's study finds 0.5 best.
        weighting (str): ``'mean'`` (:math:`w_i = 1/N`, the paper's AVER), ``'sum'`` (:math:`w_i = 1`) or ``'aekd'``
            (by their gradients, see :mod:`~shake_mm.engine.weighting`). Defaults to ``'mean'``.
        proxies (dict | list[dict], optional): The proxies. Defaults to ``dict(type='ShadowHead')``.
        divergence (dict, optional): What compares logits, e.g. ``dict(type='AlphaDivLoss')``. Defaults to what fits the
            student: KL of softened logits, for dense detectors :class:`~shake_mm.losses.DenseKLLoss`.
        terms (dict, optional): Terms to change (by key), drop (None) or add.
        setting (str, optional): ``'paper'`` for what the papers set where a detector's default is another one:
            :math:`\tau = 4`, every box alike, and for FCOS four times the divergence. Defaults to None, what was
            measured to help.
        **kwargs: See :class:`Distiller`.
    """

    knobs = {'student_from_proxy': 'lam', 'proxy_from_student': 'lam'}

    def __init__(
        self,
        student: Any,
        teachers: Any,
        tau: float | None = None,
        lam: float = 1.0,
        weighting: str = 'mean',
        proxies: dict | Sequence[dict] | None = None,
        divergence: dict | None = None,
        terms: Mapping | None = None,
        setting: str | None = None,
        **kwargs: Any,
    ) -> None:
        student_tap, proxy_tap, teacher_tap = 'student.logits', 'proxy*.logits', 'teacher*.logits'
        # The task's divergence of logits; where a detector's weighs positions, the teacher tells which.
        kl = {'loss': divergence_of(tau, divergence, setting), **({'reference': teacher_tap} if teachers else {})}
        defaults: dict[str, dict] = {
            'task': {'of': 'student'},
            'student_from_proxy': {
                'of': student_tap,
                'to': proxy_tap,
                'weight': lam,
                'weighting': weighting,
                **kl,
            },
            'proxy_from_teacher': {'of': proxy_tap, 'to': teacher_tap, **kl},
            'proxy_from_student': {'of': proxy_tap, 'to': student_tap, 'weight': lam, **kl},
        }
        proxies = {'type': 'ShadowHead'} if proxies is None else proxies
        super().__init__(student, teachers, proxies, merge_terms(defaults, terms), **kwargs)
