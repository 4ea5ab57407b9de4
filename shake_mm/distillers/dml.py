"""Deep mutual learning (Zhang et al., 2018), and the reversed distillation of the SHAKE paper's Table 1."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..engine import Distiller
from ..engine.term_config import divergence_of, merge_terms
from ..registry import MODELS


@MODELS.register_module()
class DML(Distiller):
    r"""Student and teachers train together and learn from each other.

    .. math::
        L_S &= L_{CE}(f_S, Y) + \lambda \sum_i w_i L_{KL}(f_S, f_{T_i}) \\
        L_{T_i} &= L_{CE}(f_{T_i}, Y) + \lambda L_{KL}(f_{T_i}, f_S)

    The second argument of each divergence is detached. Teachers without a ``checkpoint`` start from scratch (DML), with
    one they are trained on (KD†). The paper's other variants are configs: ``terms=dict(teacher_from_student=None)`` is
    DML†, and ``stages`` restrict what is trained (the head only, the first 60 epochs only); a member, or part of one,
    that a stage does not train is in evaluation mode.

    Args:
        student (str | dict): The network to train.
        teachers (list | dict): The networks that train along.
        tau (float, optional): Temperature. Defaults to the task's, which is 4 for all whose teachers can train along.
        lam (float): :math:`\lambda`. Defaults to 1.
        weighting (str): ``'mean'`` (:math:`w_i = 1/N`, the paper's AVER), ``'sum'`` (:math:`w_i = 1`) or ``'aekd'``
            (by their gradients, see :mod:`~shake_mm.engine.weighting`). Defaults to ``'mean'``.
        divergence (dict, optional): What compares logits, e.g. ``dict(type='AlphaDivLoss')``. Defaults to what fits the
            student: KL of softened logits, for dense detectors :class:`~shake_mm.losses.DenseKLLoss`.
        terms (dict, optional): Terms to change (by key), drop (None) or add.
        setting (str, optional): ``'paper'`` for what the papers set, see :class:`SHAKE`; here it is the default.
        **kwargs: See :class:`Distiller`.
    """

    knobs = {'student_from_teacher': 'lam', 'teacher_from_student': 'lam'}

    def __init__(
        self,
        student: Any,
        teachers: Any,
        tau: float | None = None,
        lam: float = 1.0,
        weighting: str = 'mean',
        divergence: dict | None = None,
        terms: Mapping | None = None,
        setting: str | None = None,
        **kwargs: Any,
    ) -> None:
        kl = divergence_of(tau, divergence, setting)
        student_tap, teacher_tap = 'student.logits', 'teacher*.logits'
        defaults: dict[str, dict] = {
            'task': {'of': 'student'},
            'student_from_teacher': {
                'of': student_tap,
                'to': teacher_tap,
                'loss': kl,
                'weight': lam,
                'weighting': weighting,
            },
            'teacher_task': {'of': 'teacher*'},
            'teacher_from_student': {'of': teacher_tap, 'to': student_tap, 'loss': kl, 'weight': lam},
        }
        several = isinstance(teachers, Sequence) and not isinstance(teachers, str)
        peers = [_trainable(teacher) for teacher in (teachers if several else [teachers])]
        super().__init__(student, peers, terms=merge_terms(defaults, terms), **kwargs)


def _trainable(teacher: Any) -> dict:
    entry = teacher if isinstance(teacher, dict) and 'type' not in teacher else {'config': teacher}
    return {'trainable': True, **entry}
