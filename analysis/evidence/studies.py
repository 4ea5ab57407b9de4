"""The studies: what each asks, on which data, with which rows and seeds, and whether it may be used to choose.

A study with ``split='val'`` measures on pictures that are held back from training: settings are chosen there. One with
``split='test'`` reports what was chosen before, and nothing is chosen by it.
"""

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
    """

    name: str
    method: str = ''
    changes: Mapping[str, Any] = field(default_factory=dict)
    cached: bool = False


@dataclass(frozen=True)
class Study:
    """A question, and the runs that answer it.

    Args:
        name (str): Of its records and its page.
        question (str): One sentence.
        data (str): Data set, as in the names of configs.
        pairs (tuple[str, ...]): ``TEACHER_STUDENT``, as in the names of configs.
        rows (tuple[Row, ...]): What is compared, with the student alone.
        seeds (tuple[int, ...]): Of the students; there is one teacher, of seed 0.
        split (str): ``'val'`` to choose by it, ``'test'`` to report.
        metric (str): What is compared, in percent.
        options (tuple[str, ...]): ``key=value`` pairs for all of them, the teachers too.
        batched (bool): Whether batches are cut on the device, which the sets of classifiers allow.
        gpu (bool): Whether its runs are long: they are trained where there is an accelerator, and go on within a run.
    """

    name: str
    question: str
    data: str
    pairs: tuple[str, ...]
    rows: tuple[Row, ...]
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    split: str = 'test'
    metric: str = 'accuracy/top1'
    options: tuple[str, ...] = ()
    batched: bool = True
    gpu: bool = False


def kd(tau: float, lam: float) -> Row:
    """KD at a temperature and a weight."""
    return Row(f'KD τ={tau:g} λ={lam:g}', 'kd', {'model.tau': tau, 'model.lam': lam}, cached=True)


def shake(tau: float, lam: float) -> Row:
    """SHAKE at a temperature and a weight of its divergences."""
    return Row(f'SHAKE τ={tau:g} λ={lam:g}', 'shake', {'model.tau': tau, 'model.lam': lam}, cached=True)


PAIRS = ('resnet14_resnet8', 'resnet14_shufflev2')
PAIRS_100 = ('resnet14_resnet8', 'resnet14_shufflev2-tiny')
PLAIN_ROW = Row(PLAIN)
PAPER = (Row('KD', 'kd', cached=True), Row('SHAKE', 'shake', cached=True))
"""Both with what the papers set."""

_NOISE = ('train_dataloader.dataset.wrong_labels=0.4',)
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
)


def loss_of(method: str, **loss: Any) -> dict[str, Any]:
    """Arguments of all divergences of KD or SHAKE, for what fits the student's head."""
    names = ('student_from_teacher',) if method == 'kd' else SHAKE_TERMS
    return {'model.terms': {name: {'loss': {'tau': 1.0, **loss}} for name in names}}


SHAKE_TERMS = ('student_from_proxy', 'proxy_from_teacher', 'proxy_from_student')
LATE = {'settle': {'until': 4, 'terms': ['task']}, 'distill': {}}
"""The first third of twelve epochs on the labels alone."""
_WARM = {'model.terms': {'student_from_teacher': {'warmup': 8}}}
_DETACHED = {'model.proxies': {'type': 'ShadowHead', 'detach': True}, 'model.tau': 1.0}
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
    Row('SHAKE τ=1, shadow without gradient into the trunk', 'shake', _DETACHED),
    Row('PKD', 'pkd_det'),
    Row('FGD', 'fgd_det_two_stage'),
)
"""What may keep Faster R-CNN's boxes from suffering, with no softening unless it is the papers'."""

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
)
"""What a dense detector may take, whose places count by the teacher's confidence in any case; then cheaper shadows."""

_DEFAULTS = {'model.setting': None}
DEFAULTS = (Row('KD', 'kd', _DEFAULTS), Row('SHAKE', 'shake', _DEFAULTS))
"""Both as they come, without an argument: what a task was found to take."""

PAIRS_DETECTORS = (
    'faster-rcnn-r18-w32_faster-rcnn-r18-w8',
    'retinanet-r18-w32_retinanet-r18-w8',
    'fcos-r18-w32_fcos-r18-w8',
    'rtmdet-cspnext-w96_rtmdet-cspnext-w32',
)
PAIRS_PAPER = (
    'wrn-40-2_wrn-16-2',
    'wrn-40-2_wrn-40-1',
    'resnet110_resnet20',
    'resnet110_resnet32',
    'resnet32x4_resnet8x4',
    'vgg13_vgg8',
    'resnet50_mobilenetv2',
    'resnet32x4_shufflev1',
    'resnet32x4_shufflev2',
)
EPOCHS_PAPER = (
    'train_cfg.max_epochs=240',
    'train_cfg.val_interval=240',
    'train_cfg.dynamic_intervals=None',
    'param_scheduler.milestones=[150,180,210]',
)
"""The CRD benchmark's schedule, on which the paper trains."""

STUDIES = {
    study.name: study
    for study in (
        Study(
            'weights-few',
            'Which temperature and which weight, for KD and for SHAKE, with 5,000 pictures?',
            'fashion-few',
            PAIRS,
            (PLAIN_ROW, *WEIGHTS),
            seeds=(0, 1),
            split='val',
        ),
        Study(
            'methods-few',
            'Which method, with 5,000 pictures?',
            'fashion-few',
            PAIRS,
            (PLAIN_ROW, *METHODS),
            split='val',
        ),
        Study(
            'noise-few',
            'Which method, where 40 % of the labels are wrong?',
            'fashion-few',
            PAIRS,
            (PLAIN_ROW, *PAPER, kd(4, 2), shake(4, 2)),
            split='val',
            options=_NOISE,
        ),
        Study(
            'report-100',
            'What do KD and SHAKE add on 100 classes of real pictures?',
            'fashion100',
            PAIRS_100,
            (PLAIN_ROW, *METHODS),
        ),
        Study(
            'report-few',
            'What do the methods add with 5,000 pictures, on the test pictures?',
            'fashion-few',
            PAIRS,
            (PLAIN_ROW, *METHODS),
        ),
        Study(
            'detectors',
            'What keeps distilled logits from hurting the boxes of Faster R-CNN?',
            'digit-scenes',
            ('faster-rcnn-r18-w32_faster-rcnn-r18-w8',),
            (PLAIN_ROW, *DETECTORS),
            split='val',
            metric='coco/bbox_mAP',
            batched=False,
        ),
        Study(
            'dense-detectors',
            'Which temperature and which weight does a dense detector take?',
            'digit-scenes',
            PAIRS_DETECTORS[1:],
            (PLAIN_ROW, *DENSE),
            split='val',
            metric='coco/bbox_mAP',
            batched=False,
        ),
        Study(
            'report-detectors',
            'Does a detector that is distilled by the defaults end above the one that learns alone?',
            'garment-scenes',
            PAIRS_DETECTORS,
            (PLAIN_ROW, *DEFAULTS, *(Row(f"{row.name}, papers' setting", row.method) for row in PAPER)),
            metric='coco/bbox_mAP',
            batched=False,
        ),
        Study(
            'paper-fashion100',
            "What do KD and SHAKE add to the paper's networks on 100 classes of garments, on its schedule?",
            'fashion100',
            PAIRS_PAPER,
            (PLAIN_ROW, *PAPER),
            seeds=(0, 1, 2),
            options=EPOCHS_PAPER,
            gpu=True,
        ),
        Study(
            'paper-cifar100',
            "What do KD and SHAKE add to the paper's networks on CIFAR-100?",
            'cifar100',
            PAIRS_PAPER,
            (PLAIN_ROW, *PAPER),
            seeds=(0, 1, 2),
            gpu=True,
        ),
    )
}
"""All studies by name."""
