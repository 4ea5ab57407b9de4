"""What :mod:`make_configs` combines: networks, pairs, methods, augmentations, detectors.

What a method is stands in its file below ``configs/_base_/methods``: that of ``kd-crd`` is ``kd_crd.py``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

Pair = tuple[str, str]
"""Teacher and student, by the names that files have."""


class Network(NamedTuple):
    """A network that is trained alone: a teacher, or the student's run in a pair.

    Args:
        model (str): Its file below ``_base_/models``.
        light (bool): Whether the benchmark trains it at a learning rate of 0.01.
    """

    model: str
    light: bool = False


CRD_NETWORKS = {
    **{name: Network(f'crd/{name}') for name in ('resnet20', 'resnet32', 'resnet110', 'resnet8x4', 'resnet32x4')},
    **{name: Network(f'crd/{name.replace("-", "_")}') for name in ('wrn-16-2', 'wrn-40-1', 'wrn-40-2')},
    **{name: Network(f'crd/{name}') for name in ('vgg8', 'vgg13')},
    'resnet50': Network('crd/ResNet50'),
    'mobilenetv2': Network('crd/MobileNetV2', light=True),
    'shufflev1': Network('crd/ShuffleV1', light=True),
    'shufflev2': Network('crd/ShuffleV2', light=True),
}
DIGIT_NETWORKS = {
    'resnet14': Network('digits/resnet14'),
    'resnet8': Network('digits/resnet8_half'),
    'shufflev2': Network('digits/shufflev2_tiny'),
}
FASHION100_NETWORKS = {
    **CRD_NETWORKS,
    'resnet14': DIGIT_NETWORKS['resnet14'],
    'resnet8': DIGIT_NETWORKS['resnet8'],
    'shufflev2-tiny': DIGIT_NETWORKS['shufflev2'],
}
DIGIT_PAIRS = [('resnet14', 'resnet8'), ('resnet14', 'shufflev2')]
TABLE_PAIRS = [
    ('wrn-40-2', 'wrn-16-2'),
    ('wrn-40-2', 'wrn-40-1'),
    ('resnet110', 'resnet20'),
    ('resnet110', 'resnet32'),
    ('resnet32x4', 'resnet8x4'),
    ('vgg13', 'vgg8'),
    ('resnet50', 'mobilenetv2'),
    ('resnet32x4', 'shufflev1'),
    ('resnet32x4', 'shufflev2'),
]
FASHION100_PAIRS = [('resnet14', 'resnet8'), ('resnet14', 'shufflev2-tiny')]

TABLE4 = ('fitnets', 'at', 'sp', 'cc', 'vid', 'rkd', 'pkt', 'ab', 'ft', 'nst', 'crd', 'crd-kd', 'kd-crd', 'kd-dagger')
TABLE4 += ('dml', 'dml-dagger', 'shake', 'shake-fitnets', 'shake-crd')
"""The rows of the paper's Table 4, below the baselines."""

METHODS = ('baseline', 'kd', *TABLE4, 'dkd', 'dist', 'review')
"""Every one has a config on every pair: the rows of Table 4, Eq. 1's KD, and what came later."""

FIRST = ('baseline', 'kd', 'shake')
"""What every pair is compared by first."""


class Data(NamedTuple):
    """A data set with its schedule.

    Args:
        dataset (str): Below ``_base_/datasets``.
        schedule (str): Below ``_base_/schedules``.
        epochs (int): Of the schedule.
        networks (dict[str, Network]): By the name that files have.
        pairs (list[Pair]): Teacher and student by name.
        methods (tuple[str, ...]): Those that have a config on every pair.
        more_pairs (list[Pair]): Pairs without cells: any cell runs on them once its pair's file is exchanged.
        classes (int): Number of classes.
    """

    dataset: str
    schedule: str
    epochs: int
    networks: dict[str, Network]
    pairs: list[Pair]
    methods: tuple[str, ...] = METHODS
    more_pairs: Sequence[Pair] = ()
    classes: int = 100


DATA = {
    'cifar100': Data('cifar100_bs64', 'cifar100_crd', 240, CRD_NETWORKS, TABLE_PAIRS),
    'digits100': Data('digits100_bs64', 'digits100', 20, DIGIT_NETWORKS, DIGIT_PAIRS),
    'digits100-32px': Data('digits100_32px_bs64', 'digits100', 20, CRD_NETWORKS, [], more_pairs=TABLE_PAIRS),
    # Fashion-MNIST's real pictures: all of them, few of them, and two side by side in CIFAR-100's shape.
    'fashion': Data('fashion_bs64', 'fashion100', 10, DIGIT_NETWORKS, DIGIT_PAIRS, FIRST, classes=10),
    'fashion-few': Data('fashion-few_bs64', 'digits100', 20, DIGIT_NETWORKS, DIGIT_PAIRS, FIRST, classes=10),
    'fashion100': Data('fashion100_bs64', 'fashion100', 10, FASHION100_NETWORKS, FASHION100_PAIRS, FIRST, TABLE_PAIRS),
}

LATER = ('kd-logit-std', 'wttm', 'mlkd', 'ctkd', 'vkd', 'ofd', 'dist-plus', 'kd-eskd', 'dot', 'rco')
LATER += ('kd-soft', 'kd-hard', 'kd-at', 'sdd', 'diffkd', 'scalekd')
"""Methods with a config on one pair of CIFAR-100 and one of digits."""

LATER_PAIRS = {'cifar100': [('resnet32x4', 'resnet8x4')], 'digits100': DIGIT_PAIRS[:1]}

ONLINE = ('one', 'cl', 'okddip', 'afd', 'kd-fitnets')
"""The other rows of the main paper's Table 2, and OKDDip: on its pairs, and on one of digits."""

ONLINE_PAIRS = {'cifar100': [pair for pair in TABLE_PAIRS if pair[0] != 'resnet110'], 'digits100': DIGIT_PAIRS[:1]}

TWO_TEACHERS = ('kd', 'kd-aekd', 'shake', 'shake-aekd')
"""The rows of the main paper's Table 2 with two teachers; two of its pairs stand in :data:`SEVERAL_PAIRS`."""

TWO_TEACHERS_PAIRS = {
    'cifar100': [(f'2x{t}', s) for t, s in ONLINE_PAIRS['cifar100'] if (t, s) not in (TABLE_PAIRS[0], TABLE_PAIRS[5])]
}

IMAGENET = {
    ('resnet34', 'resnet18', '8xb32_in1k'): ('kd-eskd', 'kd-at', 'dml', 'crd', 'review'),
    ('resnet34-resnet50', 'resnet18', '8xb32_in1k'): ('shake',),
    ('resnet50', 'mobilenetv1', '8xb32_in1k'): ('at', 'ofd', 'dml', 'crd', 'review'),
    ('resnet50-resnet101', 'mobilenetv1', '8xb32_in1k'): ('shake',),
    ('regnety-16gf', 'deit-tiny-wo-token', '8xb128_in1k'): ('kd-soft', 'kd-hard'),
}
"""Rows of the main paper's Table 3, by teachers, student and data; KD, SHAKE and the pairs are written by hand."""

CONTRASTED = ('crd', 'crd-kd', 'shake-crd')
"""Methods whose data set must name contrasting samples."""

SIZED = ('scalekd',)
"""Methods whose parts are of the size of the images, where it is not the one that is assumed."""

IMAGE_SIZES = {'digits100': 16}

ALONG_THE_ROUTE = ('rco',)
"""Methods whose teachers are checkpoints of one training, in quarters of its epochs."""

TWO_MOMENTA = ('dot',)
"""Methods whose optimizer tells the gradients of distillation from those of the task."""

FROM_SCRATCH = ('dml', 'dml-dagger', 'afd')
"""Methods whose teachers start from no checkpoint."""

FORMS = ('kd-dagger-head', 'kd-dagger-60')  # Table 1
FORMS += ('shake-alone', 'shake-ce', 'shake-l2', 'shake-gt', 'shake-ce-gt', 'shake-l2-gt')  # Table 2
FORMS += ('shake-sbn', 'shake-sbn-w75', 'shake-sbn-w50')  # Table 3
FORMS += ('shake-wo-reversed', 'shake-wo-teacher', 'shake-t2s', 'shake-stronger')  # Table 5 of the main paper
FORMS += ('shake-fusion',)  # the authors' release
"""Forms of SHAKE and of what it is compared with, each on the pairs of :data:`FORM_PAIRS`."""

FORM_PAIRS = {
    'cifar100': [('resnet110', 'resnet20'), ('wrn-40-2', 'wrn-16-2'), ('vgg13', 'vgg8')],
    'digits100': DIGIT_PAIRS[:1],
}
"""The pairs of Tables 1, 2, 3 and the main paper's Table 5, by data."""

TABLE6_PAIRS = {'cifar100': [('resnet110', 'resnet32'), ('wrn-40-2', 'wrn-16-2')], 'digits100': DIGIT_PAIRS[:1]}

SEVERAL = ('baseline', 'kd', 'kd-aekd', 'shake-one-head', 'shake', 'shake-aekd')
"""Methods on several teachers of one architecture, which differ by their seeds."""

SEVERAL_PAIRS = {
    'cifar100': [('2xresnet110', 'resnet20'), ('2xwrn-40-2', 'wrn-16-2'), ('2xvgg13', 'vgg8')],
    'digits100': [('3xresnet14', 'resnet8')],
}
"""``3xresnet14`` are three teachers ResNet-14."""

DETECTION = ('baseline', 'kd', 'review', 'cwd', 'pkd', 'mgd', 'fgd', 'shake', 'shake-review', 'shake-pkd')
DETECTION += ('shake-tower', 'shake-linear')  # cheap shadows
"""Methods on detectors."""

DETECTION_PAIRS = {'2x_coco': [('retinanet-r101', 'retinanet-r50'), ('faster-rcnn-r101', 'faster-rcnn-r50')]}
"""Pairs of detectors by data and schedule; their files are written by hand."""


def _on(pairs: Sequence[Pair], **files: str) -> dict[tuple[str, Pair], str]:
    return {(method.replace('_', '-'), pair): file for pair in pairs for method, file in files.items()}


RETINANET, FASTER_RCNN = DETECTION_PAIRS['2x_coco']
VARIANTS = {
    # As the methods' authors chose them; where they give none (ResNet-110 to ResNet-20), as for the most similar pair.
    **_on([('wrn-40-2', 'wrn-16-2'), ('wrn-40-2', 'wrn-40-1'), ('vgg13', 'vgg8')], dkd='dkd_b6'),
    **_on([('resnet110', 'resnet20'), ('resnet110', 'resnet32')], dkd='dkd_b2', review='review_w1'),
    **_on([('resnet50', 'mobilenetv2'), ('resnet32x4', 'shufflev2')], review='review_w8'),
    # As the CRD benchmark: FT trains the paraphraser at 0.01, but for VGG students.
    **_on([pair for pair in TABLE_PAIRS if CRD_NETWORKS[pair[1]].light or 'vgg' in pair[1]], ft='ft_full_rate'),
    # What is counted in epochs, of twenty.
    **_on(DIGIT_PAIRS, dkd='dkd_warmup2', review='review_warmup2', ab='ab_init3', ft='ft_init3'),
    **_on(DIGIT_PAIRS, kd_dagger_60='kd_dagger_5', kd_eskd='kd_eskd7', rco='rco5'),
    **_on([('resnet34', 'resnet18')], kd_eskd='kd_eskd33', review='review_w1'),
    **_on([('resnet50', 'mobilenetv1')], ofd='ofd_in1k', review='review_w8'),
    # One-stage and two-stage detectors have weights of their own.
    **_on([RETINANET, FASTER_RCNN], review='review_det', cwd='cwd_det', pkd='pkd_det', mgd='mgd_det', fgd='fgd_det'),
    **_on([RETINANET, FASTER_RCNN], shake_review='shake_review_det', shake_pkd='shake_pkd_det'),
    **_on([RETINANET], pkd='pkd_det_w10', shake_pkd='shake_pkd_det_w10'),
    **_on([FASTER_RCNN], mgd='mgd_det_two_stage', fgd='fgd_det_two_stage'),
}
"""The file of a method on a pair, where it is not the one that has the method's name."""


def method_file(method: str, pair: Pair) -> str:
    """The file below ``_base_/methods`` that a method is on a pair."""
    return VARIANTS.get((method, pair), method.replace('-', '_'))


class Augment(NamedTuple):
    """What is done to the images, or to the student, beside a method.

    Args:
        kind (str): What the config joins it with: ``'pipeline'``, ``'hooks'`` or ``'student'``.
        methods (tuple[str, ...]): The methods beside which it stands.
        pairs (dict[str, list]): The pairs that have it, by data.
        files (tuple[str, str]): Ends of the names of its files below ``_base_/augments``, for CIFAR and for digits.
    """

    kind: str
    methods: tuple[str, ...] = ('shake',)
    pairs: dict[str, list[Pair]] = TABLE6_PAIRS
    files: tuple[str, str] = ('', '_digits')


AUGMENTS = {
    'cutout': Augment('pipeline'),
    'autoaugment': Augment('pipeline', files=('_cifar', '_digits')),
    'dropblock': Augment('hooks'),
    'mixup': Augment('student', ('kd', 'shake'), ONLINE_PAIRS, ('', '')),
    'cutmix': Augment('student', ('kd', 'shake'), ONLINE_PAIRS, ('', '')),
}
"""Table 6, and Mixup and CutMix on the pairs of the main paper's Table 2."""


class Paper(NamedTuple):
    """What a folder's metafile says of its method."""

    name: str
    title: str = ''
    url: str = ''
    code: str = 'shake_mm/losses'


PAPERS = {
    folder: Paper(**about)
    for folder, about in yaml.safe_load(Path(__file__).with_name('papers.yaml').read_text(encoding='utf-8')).items()
}
"""By method folder."""
