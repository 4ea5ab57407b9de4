"""Rows of the studies: ways to train a student, each a method's file and what it changes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PLAIN = 'plain'
"""The row of the student alone, of which every study has one."""


@dataclass(frozen=True)
class Row:
    """One way to train the student.

    Args:
        name (str): In tables and records.
        method (str): File below ``configs/_base_/methods``; empty for the student alone.
        changes (dict): What it changes of the merged config, by dotted keys.
        cached (bool): Whether the teacher's logits are all that it reads, so that they can be looked up.
        contrasted (bool): Whether its batches bring the numbers of other samples, so that they are not cut on the
            device.
        pairs (tuple[str, ...]): How the names of the pairs begin that it fits; empty for all of them.
    """

    name: str
    method: str = ''
    changes: Mapping[str, Any] = field(default_factory=dict)
    cached: bool = False
    contrasted: bool = False
    pairs: tuple[str, ...] = ()

    def fits(self, pair: str) -> bool:
        """Whether it can train a pair, by the pair's name."""
        return not self.pairs or pair.startswith(self.pairs)


def kd(tau: float, lam: float) -> Row:
    """KD at a temperature and a weight."""
    return Row(f'KD τ={tau:g} λ={lam:g}', 'kd', {'model.tau': tau, 'model.lam': lam}, cached=True)


def shake(tau: float, lam: float) -> Row:
    """SHAKE at a temperature and a weight of its divergences."""
    return Row(f'SHAKE τ={tau:g} λ={lam:g}', 'shake', {'model.tau': tau, 'model.lam': lam}, cached=True)


PLAIN_ROW = Row(PLAIN)
PAPER = (Row('KD', 'kd', cached=True), Row('SHAKE', 'shake', cached=True))
"""Both with what the papers set."""

REGIMES = (*PAPER, kd(4, 2), shake(4, 2))
"""Both, also with twice as much of the teacher: what a regime of the data or the schedule is asked by."""

WEIGHTS = tuple(make(tau, lam) for make in (kd, shake) for tau in (1, 2, 4, 8) for lam in (1, 2, 4))
METHODS = (
    *PAPER,
    Row('KD+logit standardization', 'kd_logit_std', cached=True),
    Row('DKD', 'dkd_warmup2', cached=True),
    Row('DIST', 'dist', cached=True),
    Row('FitNets', 'fitnets'),
    Row('ReviewKD', 'review_warmup2'),
    Row('SP', 'sp'),
    Row('PKT', 'pkt'),
    Row('VID', 'vid'),
    Row('DML', 'dml'),
    Row('SHAKE, stronger shadow', 'shake_stronger', cached=True),
    Row('SHAKE+FitNets', 'shake_fitnets'),
    Row('CRD', 'crd', contrasted=True),
    Row('CRD+KD', 'crd_kd', contrasted=True),
)


def loss_of(method: str, **loss: Any) -> dict[str, Any]:
    """Arguments of all divergences of KD or SHAKE, for what fits the student's head."""
    names = ('student_from_teacher',) if method == 'kd' else SHAKE_TERMS
    return {'model.terms': {name: {'loss': {'tau': 1.0, **loss}} for name in names}}


SHAKE_TERMS = ('student_from_proxy', 'proxy_from_teacher', 'proxy_from_student')
LATE = {'settle': {'until': 4, 'terms': ['task']}, 'distill': {}}
"""The first third of twelve epochs on the labels alone."""
_WARM = {'model.terms': {'student_from_teacher': {'warmup': 8}}}
_DETACHED = {'model.proxies': {'type': 'ShadowHead', 'detach': True}}
DETECTORS = (
    *PAPER,
    Row('KD τ=1', 'kd', {'model.tau': 1.0}),
    Row('SHAKE τ=1', 'shake', {'model.tau': 1.0}),
    Row('KD τ=1 λ=0.25', 'kd', {'model.tau': 1.0, 'model.lam': 0.25}),
    Row('KD τ=1, boxes by confidence', 'kd', loss_of('kd', weighting='confidence')),
    # as much of the teacher as SHAKE's two sums have
    Row('KD τ=1 λ=2, boxes by confidence', 'kd', {'model.lam': 2.0, **loss_of('kd', weighting='confidence')}),
    Row('SHAKE τ=1, boxes by confidence', 'shake', loss_of('shake', weighting='confidence')),
    # weights are squared confidences: of boxes that the teacher takes for objects rather than background
    Row('KD τ=1, foreground alone', 'kd', loss_of('kd', weighting='confidence', threshold=0.25)),
    Row('KD τ=1, λ rises over 8 epochs', 'kd', {'model.tau': 1.0, **_WARM}),
    Row('KD τ=1 after 4 epochs', 'kd', {'model.tau': 1.0, 'model.stages': LATE}),
    Row('SHAKE τ=1, shadow without gradient into the trunk', 'shake', {'model.tau': 1.0, **_DETACHED}),
    Row('PKD', 'pkd_det'),
    Row('FGD', 'fgd_det_two_stage'),
    Row('SHAKE as it comes, shadow on the tower', 'shake_tower', {'model.setting': None}),
    Row('SHAKE as it comes, linear shadow', 'shake_linear', {'model.setting': None}),
)
"""What may keep Faster R-CNN's boxes from suffering, with no softening unless it is the papers'."""

_BRANCH = {'model.proxies': {'type': 'ShadowBranch'}}
_BRANCH_2 = {'model.proxies': {'type': 'ShadowBranch', 'level': 2, 'source': 'student.f1'}}
_DETACHED_BRANCH = {'model.proxies': {'type': 'ShadowBranch', 'detach': True}}
_NORM = {'type': 'LogitNorm', 'scale': 1.0, 'unbiased': True}
_NORMALIZED = {'connector': _NORM, 'to_connector': _NORM}
SHADOWS = (
    *PAPER,
    shake(4, 2),
    Row('SHAKE, no gradient into the trunk', 'shake', _DETACHED, cached=True),
    Row('SHAKE, a last stage of its own', 'shake', _BRANCH, cached=True),
    Row('SHAKE, two last stages of its own', 'shake', _BRANCH_2, cached=True),
    Row('SHAKE, a last stage of its own, no gradient into the trunk', 'shake', _DETACHED_BRANCH, cached=True),
    Row(
        'KD on normalized logits, τ=2',
        'kd',
        {'model.tau': 2.0, 'model.terms': {'student_from_teacher': _NORMALIZED}},
        cached=True,
    ),
    Row(
        'SHAKE on normalized logits, τ=2',
        'shake',
        {'model.tau': 2.0, 'model.terms': dict.fromkeys(SHAKE_TERMS, _NORMALIZED)},
        cached=True,
    ),
    Row("SHAKE as released, fused from the teacher's features", 'shake_fusion'),
)
"""Where SHAKE's shadow branches off, what reaches the trunk, and what is compared."""

HINTS = {'at': 1000.0, 'sp': 3000.0, 'pkt': 30000.0, 'rkd': 1.0, 'cc': 0.02, 'nst': 50.0, 'fitnets': 100.0}
"""Weights of the benchmark's terms of features, by file and term."""
TUNED_HINTS = tuple(
    Row(f'{name.upper()} weight × {factor:g}', name, {f'model.terms.{name}.weight': factor * weight})
    for name, weight in HINTS.items()
    for factor in (1, 0.1, 0.01)
)
"""Terms of features with less than the weight that 240 epochs of CIFAR-100 take."""

_CHOSEN = ('SP weight × 0.01', 'RKD weight × 0.1', 'NST weight × 0.1', 'PKT weight × 0.01', 'FITNETS weight × 0.1')
CHOSEN_HINTS = tuple(row for row in TUNED_HINTS if row.name in _CHOSEN)
"""Of those the best of each method, where it was more than a point above the student alone, on held-back pictures."""

_TWO_LAYERS = {'model.student.bbox_head.stacked_convs': 2}
_LINEAR = {'model.proxies.predictor': 'linear'}
DENSE = (
    *PAPER,
    Row('KD τ=1', 'kd', {'model.tau': 1.0}),
    Row('KD τ=2', 'kd', {'model.tau': 2.0}),
    Row('KD λ=2', 'kd', {'model.lam': 2.0}),
    Row('SHAKE τ=1', 'shake', {'model.tau': 1.0}),
    Row('SHAKE τ=2', 'shake', {'model.tau': 2.0}),
    Row('SHAKE λ=0.5', 'shake', {'model.lam': 0.5}),
    Row('KD λ=0.25', 'kd', {'model.lam': 0.25}),
    Row('KD λ=0.1', 'kd', {'model.lam': 0.1}),
    Row('SHAKE λ=0.25', 'shake', {'model.lam': 0.25}),
    Row('SHAKE, all its terms at 0.25', 'shake', loss_of('shake', tau=4.0, loss_weight=0.25)),
    Row('SHAKE, shadow on the tower', 'shake_tower'),
    Row('SHAKE, linear shadow', 'shake_linear'),
    Row('SHAKE, separable shadow', 'shake_linear', {'model.proxies.predictor': 'separable'}),
    Row('SHAKE, shadow at a quarter of the places', 'shake_sparse'),
    Row('SHAKE, shadow at a tenth of the places', 'shake_sparse', {'model.proxies.places': 0.1}),
    Row('SHAKE, tower of two layers', 'shake', _TWO_LAYERS),
    Row('SHAKE, tower of two layers, shadow of the last and linear', 'shake_tower', {**_TWO_LAYERS, **_LINEAR}),
)
"""What a dense detector may take, whose places count by the teacher's confidence in any case; then cheaper shadows."""

_DEFAULTS = {'model.setting': None}
DEFAULTS = (Row('KD', 'kd', _DEFAULTS), Row('SHAKE', 'shake', _DEFAULTS))
"""Both as they come, without an argument: what a task was found to take."""

OTHERS = (
    Row('ReviewKD', 'review_det'),
    Row('FGD', 'fgd_det', pairs=('retinanet', 'fcos')),
    Row('CrossKD', 'crosskd', pairs=('retinanet',)),
)
"""Methods of features, and of both towers of a dense head, with the weights that their authors have for COCO."""
