"""The studies: what each asks, on which data, with which rows and seeds, and whether it may be used to choose.

A study with ``split='val'`` measures on pictures that are held back from training: settings are chosen there. One with
``split='test'`` reports what was chosen before, and nothing is chosen by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analysis.evidence.rows import (
    CHOSEN_HINTS,
    DEFAULTS,
    DENSE,
    DETECTORS,
    METHODS,
    OTHERS,
    PAPER,
    PLAIN_ROW,
    REGIMES,
    SHADOWS,
    TUNED_HINTS,
    WEIGHTS,
    Row,
)

PAIRS = ('resnet14_resnet8', 'resnet14_shufflev2')
PAIRS_100 = ('resnet14_resnet8', 'resnet14_shufflev2-tiny')
_NOISE = ('train_dataloader.dataset.wrong_labels=0.4',)


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
        changes (dict): What is changed of every student's config, and of no teacher's, by dotted keys.
        setting (str): What sets it apart from a report on the same data, as tables tell it.
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
    changes: Mapping[str, Any] = field(default_factory=dict)
    setting: str = ''
    batched: bool = True
    gpu: bool = False

    def rows_of(self, pair: str) -> tuple[Row, ...]:
        """Those of its rows that can train a pair."""
        return tuple(row for row in self.rows if row.fits(pair))

    @property
    def told(self) -> str:
        """Its data, as tables tell them, with what sets it apart."""
        return f'{self.data}, {self.setting}' if self.setting else self.data

    @property
    def unit(self) -> str:
        """What its figures are: points of AP, or percent."""
        return 'AP' if 'mAP' in self.metric else '%'


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


def schedule(epochs: int, *milestones: int) -> tuple[str, ...]:
    """Options for so many epochs, with the rate lowered at some of them and one validation at the end."""
    return (
        f'train_cfg.max_epochs={epochs}',
        f'train_cfg.val_interval={epochs}',
        'train_cfg.dynamic_intervals=None',
        f'param_scheduler.milestones=[{",".join(map(str, milestones))}]',
    )


EPOCHS_PAPER = schedule(240, 150, 180, 210)
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
            'shadows-few',
            'Where does the shadow branch off, and what reaches the trunk?',
            'fashion-few',
            PAIRS,
            (PLAIN_ROW, *SHADOWS),
            split='val',
        ),
        Study(
            'hints-few',
            'Which weight do terms of features take on a short run of small maps?',
            'fashion-few',
            PAIRS,
            (PLAIN_ROW, *TUNED_HINTS),
            seeds=(0, 1),
            split='val',
        ),
        Study(
            'long-few',
            'What is left of the gain after four times the epochs?',
            'fashion-few',
            PAIRS,
            (PLAIN_ROW, *REGIMES),
            split='val',
            options=schedule(80, 48, 64, 72),
        ),
        Study(
            'noise-few',
            'Which method, where 40 % of the labels are wrong?',
            'fashion-few',
            PAIRS,
            (PLAIN_ROW, *REGIMES),
            split='val',
            options=_NOISE,
        ),
        Study(
            'scarce-few',
            'What do KD and SHAKE add with 1,000 pictures, of which the teacher has no more?',
            'fashion-few',
            PAIRS,
            (PLAIN_ROW, *REGIMES),
            split='val',
            options=('train_dataloader.dataset.num_samples=1000', *schedule(60, 36, 48, 54)),
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
            (PLAIN_ROW, *METHODS, *CHOSEN_HINTS),
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
            (PLAIN_ROW, *DEFAULTS, *(Row(f"{row.name}, papers' setting", row.method) for row in PAPER), *OTHERS),
            metric='coco/bbox_mAP',
            batched=False,
        ),
        Study(
            'long-detectors',
            'Does a distilled detector end above the plain one where both have three times the epochs?',
            'garment-scenes',
            PAIRS_DETECTORS,
            (PLAIN_ROW, *DEFAULTS),
            metric='coco/bbox_mAP',
            changes={'train_cfg.max_epochs': 36, 'param_scheduler.1.T_max': 36},
            setting='36 epochs',
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
